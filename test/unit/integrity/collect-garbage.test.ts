import { setTimeout as delay } from 'node:timers/promises';
import { ConflictError, IntegrityError } from '../../../src/errors';
import {
  collectGarbage,
  type CollectOptions,
  type CollectReport,
} from '../../../src/integrity/collect-garbage';
import { verifyStore } from '../../../src/integrity/verify-store';
import { stream } from '../../../src/rl/counter-rng';
import {
  checkpointDigest,
  readCheckpoint,
  writeCheckpoint,
} from '../../../src/storage/checkpoints';
import {
  checkpointFolder,
  gcStateKey,
  iterationRecordKey,
  routingKey,
  runSegmentKey,
} from '../../../src/storage/keys';
import type { ObjectStore } from '../../../src/storage/object-store';
import { writeIterationRecord } from '../../../src/storage/run-records';
import { withClaim } from '../../../src/storage/sweep';
import { createMemoryObjectStore } from '../../fakes/memory-object-store';
import { damage, keyMatching } from '../../helpers/damage';
import { activitiesOn, oneIteration, RUN } from '../../helpers/small-iteration';
import { AT, keysOf, randomStore } from './random-store';

const DAY = 24 * 60 * 60 * 1000;
const NOW = Date.parse('2026-12-24T08:00:00Z');

function collect(
  store: ObjectStore,
  options: Partial<CollectOptions> & { readonly open?: ReadonlySet<string> } = {},
): Promise<CollectReport> {
  const { open = new Set<string>(), ...rest } = options;
  return collectGarbage(store, {
    workflows: { openWorkflowIds: async () => open },
    ...{ olderThanMs: 0, runsOlderThanMs: null, isDryRun: false, now: () => NOW },
    ...rest,
  });
}

async function dump(store: ObjectStore): Promise<Map<string, string>> {
  const objects = new Map<string, string>();
  for (const key of await keysOf(store)) {
    if (!key.startsWith('v1/gc/'))
      objects.set(key, Buffer.from((await store.get(key)).bytes).toString('latin1'));
  }
  return objects;
}

const removedFrom = ({ removed }: CollectReport): number =>
  [...removed.values()].reduce((sum, { objects }) => sum + objects, 0);

describe('a random store', () => {
  it.each(Array.from({ length: 40 }, (_, seed) => seed))(
    '%i: whenever a collection dies, all that is reachable stays; the next one removes the rest, and another finds nothing',
    async (seed) => {
      const random = stream({ seed, purpose: 'test.gc' });
      const store = createMemoryObjectStore();
      const { keep, garbage, openWorkflowIds: open } = await randomStore(store, random);
      const before = await dump(store);
      const expectKept = async (): Promise<void> => {
        const after = await dump(store);
        for (const key of keep) expect([key, after.get(key)]).toEqual([key, before.get(key)]);
      };

      for (let crash = 0; crash < 4; crash += 1) {
        const dying = dyingAt(store, random.below(garbage.size + 6), random.next() < 0.5);
        await collect(dying, { open }).catch((error: unknown) => {
          if (!String(error).includes('the process died')) throw error;
        });
        await expectKept();
        await store.delete(gcStateKey()); // a minute later the dead one's state is taken over
      }
      await collect(store, { open });
      await expectKept();
      expect([...(await dump(store)).keys()].sort()).toEqual([...keep].sort());
      expect(removedFrom(await collect(store, { open }))).toBe(0);
    },
  );

  it('is not trivial: some of these stores have much garbage, and some open runs', async () => {
    let garbage = 0;
    let open = 0;
    for (let seed = 0; seed < 40; seed += 1) {
      const random = stream({ seed, purpose: 'test.gc' });
      const store = await randomStore(createMemoryObjectStore(), random);
      garbage += store.garbage.size;
      open += store.openWorkflowIds.size;
    }
    expect(garbage).toBeGreaterThan(200);
    expect(open).toBeGreaterThan(10);
  });
});

/** Dies at its n-th write, put or delete: before it, or after it landed. */
function dyingAt(store: ObjectStore, nth: number, lands: boolean): ObjectStore {
  let left = nth;
  const dying =
    <A extends unknown[], R>(write: (...args: A) => Promise<R>) =>
    async (...args: A): Promise<R> => {
      if (left-- > 0) return write(...args);
      if (lands && left === -1) await write(...args);
      throw new Error('the process died');
    };
  return {
    ...store,
    put: dying((...args: Parameters<ObjectStore['put']>) => store.put(...args)),
    delete: dying((key: string) => store.delete(key)),
  };
}

describe('age', () => {
  const orphan = runSegmentKey('old.1', 0, 'trajectories', 'dead-0');
  const bytes = Buffer.from('x');

  it('counts from the collection that first found the garbage', async () => {
    const store = createMemoryObjectStore();
    await store.put(orphan, bytes);
    const first = await collect(store, { olderThanMs: 7 * DAY });
    expect([first.waiting.get('trajectories')?.objects, removedFrom(first)]).toEqual([1, 0]);
    const later = (days: number): Promise<CollectReport> =>
      collect(store, { olderThanMs: 7 * DAY, now: () => NOW + days * DAY });
    expect(removedFrom(await later(6.9))).toBe(0);
    expect(removedFrom(await later(7))).toBe(1);
    expect(await store.head(orphan)).toBeNull();
  });

  it('begins anew for a new version of an object', async () => {
    const store = createMemoryObjectStore();
    await store.put(orphan, bytes);
    await collect(store, { olderThanMs: DAY });
    await store.put(orphan, bytes);
    expect(removedFrom(await collect(store, { olderThanMs: DAY, now: () => NOW + 2 * DAY }))).toBe(
      0,
    );
  });

  it('does not come of a clock that was set forward while the mark was made', async () => {
    const store = createMemoryObjectStore();
    await store.put(orphan, bytes);
    await collect(store, { olderThanMs: DAY, now: () => NOW + 365 * DAY });
    const today = await collect(store, { olderThanMs: DAY });
    expect(removedFrom(today)).toBe(0);
    expect(removedFrom(await collect(store, { olderThanMs: DAY, now: () => NOW + DAY }))).toBe(1);
  });
});

it('a dry run writes nothing, and says what would go', async () => {
  const store = createMemoryObjectStore();
  await store.put(runSegmentKey('old.1', 0, 'rewards', 'dead'), Buffer.from('x'));
  const before = await keysOf(store);
  expect(removedFrom(await collect(store, { isDryRun: true }))).toBe(1);
  expect(await keysOf(store)).toEqual(before);
});

it('a damaged record stops a collection before it removes anything: what it named is not known', async () => {
  const store = createMemoryObjectStore();
  await oneIteration(activitiesOn(store));
  const orphan = runSegmentKey(RUN, 0, 'rewards', 'dead');
  await store.put(orphan, Buffer.from('x'));
  const { bytes } = await store.get(routingKey('support'));
  await store.put(routingKey('support'), bytes.subarray(0, 40));
  await expect(collect(store)).rejects.toThrow(IntegrityError);
  expect(await store.head(orphan)).not.toBeNull();
});

it('what a damaged record in quarantine still seems to name is kept', async () => {
  const store = createMemoryObjectStore();
  const { candidate } = await oneIteration(activitiesOn(store));
  // Of all that names the candidate, only one record is left, and that is damaged.
  for (const prefix of ['v1/policies/', 'v1/evaluations/'])
    for (const key of await keysOf(store)) if (key.startsWith(prefix)) await store.delete(key);
  for (const key of await keysOf(store)) {
    if (/gate-1.*run\.json$/.test(key)) await store.delete(key);
    if (!/trained-/.test(key)) continue;
    const text = Buffer.from((await store.get(key)).bytes).toString();
    await store.put(key, Buffer.from(text.replace('"optimizerSteps":3', '"optimizerSteps":4')));
  }
  await verifyStore(store, { isDeep: false, doesQuarantine: true });
  await collect(store);
  await expect(readCheckpoint(store, candidate)).resolves.toBeDefined();
});

describe('a run that ended long ago', () => {
  it('loses its trajectories and what only it names, and keeps its records, the promoted lineage and its evidence', async () => {
    const store = createMemoryObjectStore();
    const { base, candidate } = await oneIteration(activitiesOn(store));
    const report = await collect(store, { runsOlderThanMs: 20 * DAY });
    expect(report.dropped).toEqual([
      expect.stringMatching(/^desk-1\.0/),
      expect.stringMatching(/^desk-1\.gate/),
    ]);
    for (const digest of [base, candidate])
      await expect(readCheckpoint(store, digest)).resolves.toBeDefined();
    const keys = [...(await keysOf(store))];
    const ofRun = keys.filter((key) => key.startsWith(`v1/runs/${RUN}/`));
    expect(ofRun.some((key) => key.includes('/records/'))).toBe(true);
    expect(ofRun.filter((key) => /trajectories|rewards/.test(key))).toEqual([]);
    const ofEvaluation = keys.filter((key) => /gate-1.*(trajectories|rewards)/.test(key));
    expect(ofEvaluation.length).toBeGreaterThan(0); // evidence of an evaluation
  });

  it('is not dropped while it is open, nor before its time', async () => {
    const store = createMemoryObjectStore();
    await oneIteration(activitiesOn(store));
    const open = new Set(['desk-1']);
    expect((await collect(store, { runsOlderThanMs: 20 * DAY, open })).dropped).toEqual([]);
    expect((await collect(store, { runsOlderThanMs: 60 * DAY })).dropped).toEqual([]);
  });
});

describe('one collection at a time', () => {
  const state = {
    formatVersion: 1,
    id: 'x',
    phase: 'sweeping',
    beat: 0,
    by: 'host 1',
    startedAt: AT,
  };
  const put = (store: ObjectStore, beat: number) =>
    store.put(gcStateKey(), Buffer.from(JSON.stringify({ ...state, beat })));

  it('another that gives signs of life is waited for', async () => {
    const store = createMemoryObjectStore();
    await put(store, 0);
    let beat = 0;
    const beating = setInterval(() => void put(store, (beat += 1)), 10);
    await expect(collect(store, { deadAfterMs: 300 })).rejects.toThrow(ConflictError);
    clearInterval(beating);
  });

  it('one that died is succeeded', async () => {
    const store = createMemoryObjectStore();
    await put(store, 0);
    await expect(collect(store, { deadAfterMs: 300 })).resolves.toBeDefined();
    expect(await store.head(gcStateKey())).toBeNull();
  });

  it('one that fails before it removes anything keeps nobody waiting', async () => {
    const store = createMemoryObjectStore();
    await oneIteration(activitiesOn(store));
    const key = await keyMatching(store, /\/records\/scored-/);
    await damage(store, key, 'altered');
    await expect(collect(store)).rejects.toThrow(IntegrityError);
    expect(await store.head(gcStateKey())).toBeNull();
  });

  it('says that it waits to see whether another is dead', async () => {
    const store = createMemoryObjectStore();
    await put(store, 0);
    const said = new Set<string>();
    await collect(store, { deadAfterMs: 300, onProgress: ({ doing }) => said.add(doing) });
    expect(said).toContain('waiting for a collection that seems dead');
  });
});

it.each([
  ['the state of a collection', gcStateKey()],
  ['a file of marks', 'v1/gc/marks/x.jsonl'],
  ['a claim', 'v1/claims/x.json'],
])('%s that is damaged stops collections until verify put it aside', async (_, key) => {
  const store = createMemoryObjectStore();
  await oneIteration(activitiesOn(store));
  const folder = `v1/datasets/desk/${'a'.repeat(64)}/`;
  await store.put(key, Buffer.from(`{"holds":["${folder}`));
  await store.put(`${folder}tasks.jsonl`, Buffer.from('x'));
  await expect(collect(store)).rejects.toThrow(IntegrityError);
  const { findings } = await verifyStore(store, { isDeep: false, doesQuarantine: true });
  expect(findings).toEqual([
    expect.objectContaining({
      ...{ key, problem: 'damaged' },
      action: expect.objectContaining({ kind: 'quarantined' }) as unknown,
    }),
  ]);
  await collect(store);
  // What can still be read in a claim is held.
  expect((await store.head(`${folder}tasks.jsonl`)) !== null).toBe(key.includes('claims'));
});

describe('a run that commits while garbage is collected', () => {
  const CONTENTS = 4;
  const contentOf = (n: number) => ({
    files: new Map([
      ['config.json', Buffer.from('{}')],
      ['model.safetensors', Buffer.from(`model ${n}`)],
    ]),
    metadata: { kind: 'choice' },
  });

  /** Every operation takes a random while, so that the two meet in every order. */
  function slowed(store: ObjectStore, seed: number): ObjectStore {
    const random = stream({ seed, purpose: 'test.slowed' });
    const wait = (): Promise<void> =>
      random.next() < 0.3 ? delay(random.below(3)) : Promise.resolve();
    return {
      ...store,
      get: async (key) => (await wait(), store.get(key)),
      put: async (...args) => (await wait(), store.put(...args)),
      delete: async (key) => (await wait(), store.delete(key)),
    };
  }

  it('never loses what it committed, though the same content was garbage a moment before', async () => {
    const inner = createMemoryObjectStore();
    let isDone = false;
    let removed = 0;
    let commits = 0;
    let found = 0; // commits that found their files in place: what makes the race

    const writer = async (seed: number): Promise<void> => {
      const store = slowed(inner, seed);
      const random = stream({ seed, purpose: 'test.writer' });
      for (let n = 0; n < 60; n += 1) {
        const content = contentOf(random.below(CONTENTS));
        const digest = checkpointDigest(content);
        const run = `race-${seed}-${n}.x`;
        if ((await inner.head(`${checkpointFolder(digest)}config.json`)) !== null) found += 1;
        await withClaim(
          store,
          { run, holds: [checkpointFolder(digest)] },
          async () => {
            await writeCheckpoint(store, content);
            await writeIterationRecord(store, {
              ...{ formatVersion: 1, kind: 'created', run, iteration: 0, at: AT, policy: 'p' },
              ...{ dataset: { name: 'd', digest }, checkpoint: digest, seed: 0 },
            });
          },
          { pollMs: 1 },
        );
        commits += 1;
        // Named from here on: whole, and it stays so.
        for (let look = 0; look < 3; look += 1) {
          await expect(readCheckpoint(inner, digest)).resolves.toBeDefined();
          await delay(random.below(3));
        }
        for (const key of await keysOf(inner))
          if (key.startsWith(`v1/runs/${run}/`)) await inner.delete(key); // and garbage again
      }
    };
    const collector = async (): Promise<void> => {
      const store = slowed(inner, 99);
      while (!isDone) removed += removedFrom(await collect(store));
    };
    const collecting = collector();
    try {
      await Promise.all([1, 2, 3].map(writer));
    } finally {
      isDone = true;
      await collecting;
    }
    expect(commits).toBe(180);
    expect(removed).toBeGreaterThan(30);
    expect(found).toBeGreaterThan(20);
  });
});

it('keys of records carry their kind', () => {
  expect(iterationRecordKey('r', 1, 'trained', 'a'.repeat(64))).toBe(
    `v1/runs/r/000001/records/trained-${'a'.repeat(64)}.json`,
  );
});
