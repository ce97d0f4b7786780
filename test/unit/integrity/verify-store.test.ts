import { verifyStore, type VerifyReport } from '../../../src/integrity/verify-store';
import { checkpointFolder, promotionKey, routingKey } from '../../../src/storage/keys';
import type { ObjectStore } from '../../../src/storage/object-store';
import { createMemoryObjectStore } from '../../fakes/memory-object-store';
import { damage, keyMatching, quarantined } from '../../helpers/damage';
import {
  activitiesOn,
  oneIteration,
  POLICY,
  RUN,
  type Iteration,
} from '../../helpers/small-iteration';
import { renderVerify } from '../../../workers/store-commands';
import { keysOf } from './random-store';

let store: ObjectStore;
let iteration: Iteration;
beforeEach(async () => {
  store = createMemoryObjectStore();
  iteration = await oneIteration(activitiesOn(store));
});

const verify = (options: { deep?: boolean; quarantine?: boolean } = {}): Promise<VerifyReport> =>
  verifyStore(store, {
    isDeep: options.deep === true,
    doesQuarantine: options.quarantine !== false,
  });

it('a store after a run is whole, and every kind of object was looked at', async () => {
  const report = await verify();
  expect(report.findings).toEqual([]);
  expect([...report.checked.keys()].sort()).toEqual([
    ...['blob', 'checkpoint', 'dataset', 'evaluation', 'evidence', 'promotion', 'record'],
    ...['rewards', 'routing', 'run', 'trajectories'],
  ]);
  expect(renderVerify(report)).toContain('The store is whole.');
});

it('an empty store is whole', async () => {
  store = createMemoryObjectStore();
  expect((await verify()).findings).toEqual([]);
});

it.each([
  ['a file of a checkpoint', /^v1\/checkpoints\/.*model/],
  ['a manifest', /^v1\/checkpoints\/.*manifest/],
  ['a file of a dataset', /^v1\/datasets\/.*tasks/],
  ['a blob', /^v1\/blobs\//],
  ['an evaluation', /^v1\/evaluations\/[0-9a-f]+\.json/],
  ['the evidence of an evaluation', /evidence-/],
  ['a promotion record', /promotions\//],
  ['a run’s record', /run\.json$/],
  ['an iteration’s record', /records\/trained/],
  ['a segment of trajectories', /trajectories\/.*-0\.jsonl$/],
  ['a batch’s manifest', /trajectories\/.*-batch\.jsonl$/],
  ['a segment of rewards', /\/rewards\//],
])('%s that was altered or cut is found, and put aside', async (_, pattern) => {
  for (const kind of ['altered', 'truncated'] as const) {
    store = createMemoryObjectStore();
    iteration = await oneIteration(activitiesOn(store));
    const key = await keyMatching(store, pattern);
    const bytes = await damage(store, key, kind);

    const reported = await verify({ quarantine: false });
    expect(reported.findings).toContainEqual(
      expect.objectContaining({ key, problem: 'damaged', action: { kind: 'reported' } }),
    );
    expect((await store.get(key)).bytes).toEqual(bytes);

    const found = await verify();
    expect(found.findings.find((finding) => finding.key === key)?.action.kind).toBe('quarantined');
    expect((await quarantined(store, key, bytes)).note).toMatchObject({ key, by: 'verify' });
    expect(await store.head(key)).toBeNull();
  }
});

it('what is missing is found by what names it, and is found again until it is back', async () => {
  const segment = await keyMatching(store, new RegExp(`${RUN}.*trajectories/.*-0\\.jsonl$`));
  const file = `${checkpointFolder(iteration.base)}model.safetensors`;
  for (const key of [segment, file]) await store.delete(key);
  for (let again = 0; again < 2; again += 1) {
    const { findings } = await verify();
    for (const key of [segment, file])
      expect(findings).toContainEqual(expect.objectContaining({ key, problem: 'missing' }));
  }
});

it('a pointer that cannot be read stays, and the finding says what to restore it from', async () => {
  const key = routingKey(POLICY);
  const bytes = await damage(store, key, 'truncated');
  const { findings } = await verify();
  expect(findings).toEqual([
    expect.objectContaining({
      ...{ key, problem: 'damaged', action: expect.objectContaining({ kind: 'kept' }) as unknown },
      help: expect.stringContaining(promotionKey(POLICY, 2, 'promotion-1')) as string,
    }),
  ]);
  expect((await store.get(key)).bytes).toEqual(bytes);
});

it('a pointer whose champion is not whole, or whose promotion has no record, is a finding', async () => {
  await damage(store, `${checkpointFolder(iteration.candidate)}model.safetensors`, 'altered');
  const broken = await verify();
  expect(broken.findings.map(({ kind }) => kind).sort()).toEqual(['checkpoint', 'routing']);

  store = createMemoryObjectStore();
  await oneIteration(activitiesOn(store));
  await store.delete(promotionKey(POLICY, 2, 'promotion-1'));
  const { findings } = await verify();
  expect(findings).toEqual([
    expect.objectContaining({ kind: 'routing', expected: 'the record of promotion promotion-1' }),
  ]);
});

it('a record that a newer version wrote is reported and left where it is', async () => {
  const key = `v1/runs/other.1/run.json`;
  const newer = Buffer.from('{"formatVersion":2,"kind":"training"}');
  await store.put(key, newer);
  const { findings } = await verify();
  expect(findings).toEqual([
    expect.objectContaining({ key, problem: 'unreadable', action: { kind: 'reported' } }),
  ]);
  expect((await store.get(key)).bytes).toEqual(new Uint8Array(newer));
});

it('a deep walk reads live sessions and late rewards, which no hash vouches for', async () => {
  const live = 'v1/live/desk/2026-11-24/08/one.jsonl';
  await store.put(live, Buffer.from('{"type":"mess'));
  expect((await verify()).findings).toEqual([]);
  const { findings } = await verify({ deep: true });
  expect(findings).toContainEqual(expect.objectContaining({ key: live, problem: 'damaged' }));
});

it('a live call that a crash left without an answer is no damage', async () => {
  const call = {
    ...{ id: 'r1', session: 'live/desk/a', agent: 'desk', model: 'ratchet/desk' },
    at: '2026-11-24T08:00:00.000Z',
  };
  const line = `${JSON.stringify({ type: 'unresolved', call })}\n`;
  const live = 'v1/live/desk/2026-11-24/08/two.jsonl';
  await store.put(live, Buffer.from(line));
  const { findings } = await verify({ deep: true });
  expect(findings.filter(({ key }) => key === live)).toEqual([]);
});

it('a walk twice over puts aside once, and changes nothing of what is whole', async () => {
  await damage(store, await keyMatching(store, /^v1\/blobs\//), 'altered');
  await verify();
  const keys = await keysOf(store);
  const second = await verify();
  expect(await keysOf(store)).toEqual(keys);
  expect(second.inQuarantine).toBe(1);
});
