import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createLocalObjectStore } from '../src/adapters/local-store';
import { sha256Hex } from '../src/storage/digest';
import type { ObjectStore } from '../src/storage/object-store';

const SMALL_BYTES = 1_000;
const SMALL_PUTS = 1_000;
const LARGE_BYTES = 50_000_000;
const LISTED = 10_000;

async function seconds(work: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await work();
  return (performance.now() - start) / 1000;
}

/** Runs `work(0)` … `work(count - 1)`, sixteen at a time. */
async function sixteenAtOnce(count: number, work: (i: number) => Promise<unknown>): Promise<void> {
  let next = 0;
  const lane = async (): Promise<void> => {
    while (next < count) await work(next++);
  };
  await Promise.all(Array.from({ length: 16 }, lane));
}

/** @param filler the store that writes what is then listed; may do it in a quicker way. */
export async function measure(
  store: ObjectStore,
  filler: ObjectStore = store,
): Promise<Record<string, number>> {
  const small = randomBytes(SMALL_BYTES);
  const large = new Uint8Array(randomBytes(LARGE_BYTES));
  const sha256 = sha256Hex(large);

  const oneByOne = await seconds(async () => {
    for (let i = 0; i < SMALL_PUTS; i++) await store.put(`v1/serial/${i}`, small);
  });
  const concurrent = await seconds(() =>
    sixteenAtOnce(SMALL_PUTS, (i) => store.put(`v1/concurrent/${i}`, small)),
  );
  const swaps = await seconds(async () => {
    let outcome = await store.put('v1/pointer', small);
    for (let i = 0; i < SMALL_PUTS / 2 && outcome.committed; i++) {
      small.writeUInt32LE(i); // as the generation of a pointer
      outcome = await store.put('v1/pointer', small, { ifMatch: outcome.etag });
    }
  });
  const gets = await seconds(async () => {
    for (let i = 0; i < SMALL_PUTS; i++) await store.get(`v1/serial/${i}`);
  });
  const heads = await seconds(async () => {
    for (let i = 0; i < SMALL_PUTS; i++) await store.head(`v1/serial/${i}`);
  });
  const largePut = await seconds(() => store.put('v1/large', large, { sha256 }));
  const largeGet = await seconds(() => store.get('v1/large'));

  await sixteenAtOnce(LISTED, (i) => filler.put(`v1/listed/${i}`, small));
  const list = await seconds(async () => {
    for await (const entry of store.list('v1/listed/')) void entry;
  });
  return {
    smallPutsPerSecond: SMALL_PUTS / oneByOne,
    smallPutsPerSecondSixteenAtOnce: SMALL_PUTS / concurrent,
    swapsOfOneKeyPerSecond: SMALL_PUTS / 2 / swaps,
    smallGetsPerSecond: SMALL_PUTS / gets,
    headsPerSecond: SMALL_PUTS / heads,
    largePutMBPerSecond: LARGE_BYTES / 1e6 / largePut,
    largeGetMBPerSecond: LARGE_BYTES / 1e6 / largeGet,
    listTenThousandMs: list * 1000,
  };
}

/** The store of local files, every put durable (fsync of file and folder), in the folder for temporary files. */
export async function run(): Promise<Record<string, number>> {
  const root = await mkdtemp(join(tmpdir(), 'ratchet-bench-'));
  try {
    return await measure(
      createLocalObjectStore({ root }),
      createLocalObjectStore({ root, durable: false }),
    );
  } finally {
    await rm(root, { recursive: true });
  }
}
