import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createLocalObjectStore } from '../../src/adapters/local-store';
import { collectGarbage } from '../../src/integrity/collect-garbage';
import { verifyStore } from '../../src/integrity/verify-store';
import { exportTrajectories } from '../../src/runs/export-trajectories';
import { findRun } from '../../src/runs/run-catalog';
import { placeOf } from '../../src/storage/layout';
import type { ObjectStore } from '../../src/storage/object-store';
import { readRouting } from '../../src/storage/routing';
import { type Fault, FAULTS, faultyStore } from '../fakes/faulty-store';
import { createMemoryObjectStore } from '../fakes/memory-object-store';
import {
  activitiesOn,
  createExecution,
  oneIteration,
  POLICY,
  RUN,
  type Iteration,
} from '../helpers/small-iteration';

jest.setTimeout(180_000);

/** What must be the same however the writes went: digests of content, and what counts. */
async function outcomeOf(store: ObjectStore, iteration: Iteration): Promise<unknown> {
  const { dataset, base, candidate, evaluation, promoted } = iteration;
  const exported: string[] = [];
  for await (const row of exportTrajectories(store, await findRun(store, RUN))) {
    if (row.type !== 'trajectory') continue;
    const { trajectory, rewards } = row;
    exported.push(`${trajectory.id} ${rewards.map(({ value }) => value).join()}`);
  }
  expect(new Set(exported).size).toBe(exported.length);
  const records: string[] = [];
  for await (const { key } of store.list(`v1/policies/`)) records.push(key);
  return {
    ...{ dataset, base, candidate, evaluation, promoted, exported: exported.sort(), records },
    routing: (await readRouting(store, POLICY))?.routing,
  };
}

/** Nothing of what counts is damaged or missing; and garbage collection takes nothing of it. */
async function expectWhole(store: ObjectStore, iteration: Iteration): Promise<void> {
  const verify = async (): Promise<unknown> =>
    (await verifyStore(store, { isDeep: false, doesQuarantine: false })).findings;
  expect(await verify()).toEqual([]);
  const before = await outcomeOf(store, iteration);
  await collectGarbage(store, {
    workflows: { openWorkflowIds: async () => new Set() },
    ...{ olderThanMs: 0, runsOlderThanMs: null, isDryRun: false },
  });
  expect(await verify()).toEqual([]);
  expect(await outcomeOf(store, iteration)).toEqual(before);
}

let unbroken: unknown;
let writes = 0;
const kinds: string[] = [];
beforeAll(async () => {
  const inner = createMemoryObjectStore();
  const store = faultyStore(inner, -1, 'failed');
  const seen: ObjectStore = {
    ...store,
    put(key, ...rest) {
      kinds.push(placeOf(key).kind);
      return store.put(key, ...rest);
    },
  };
  const iteration = await oneIteration(activitiesOn(seen));
  writes = store.writes();
  await expectWhole(store, iteration);
  unbroken = await outcomeOf(store, iteration);
});

async function broken(
  inner: ObjectStore,
  nth: number,
  fault: Fault,
): Promise<{ readonly failures: readonly string[]; readonly writes: number }> {
  const store = faultyStore(inner, nth, fault);
  const execution = createExecution();
  const iteration = await oneIteration(activitiesOn(store), execution);
  await store.settle();
  expect(await outcomeOf(store, iteration)).toEqual(unbroken);
  await expectWhole(store, iteration);
  return { failures: execution.failures, writes: store.writes() };
}

it('an iteration has writes of every kind to go wrong', () => {
  expect(kinds).toEqual(
    expect.arrayContaining([
      ...['blob', 'checkpoint', 'claim', 'dataset', 'evaluation', 'evidence', 'promotion'],
      ...['record', 'rewards', 'routing', 'run', 'state', 'trajectories'],
    ]),
  );
});

it.each(FAULTS)('whichever write is %s, the iteration ends in the same state', async (fault) => {
  let failed = 0;
  for (let nth = 0; nth < writes; nth += 1) {
    try {
      const { failures } = await broken(createMemoryObjectStore(), nth, fault);
      failed += failures.length;
    } catch (error) {
      throw new Error(`write ${nth} ${fault}`, { cause: error });
    }
  }
  // Not vacuous: nearly every fault but a delay was seen by an activity, which was tried again.
  if (fault === 'delayed') expect(failed).toBe(0);
  else expect(failed).toBeGreaterThan(0.7 * writes);
});

it('a torn write to local files leaves nothing half-written that is ever seen', async () => {
  // Every fourth: that each call of the file system may be the last one is tried in contract/local-store-crashes.test.ts.
  for (let nth = 0; nth < writes; nth += 4) {
    const root = await mkdtemp(join(tmpdir(), 'ratchet-torn-'));
    try {
      await broken(createLocalObjectStore({ root, durable: false }), nth, 'torn');
    } finally {
      await rm(root, { recursive: true, force: true });
    }
  }
});
