import { createCollectLiveActivities } from '../../activities/collect-live';
import { readFeedback } from '../../src/rollouts/read-feedback';
import { ChoiceConfig } from '../../src/schemas/choice-config';
import type { Decision } from '../../src/schemas/decision';
import type { CollectLiveInput, CollectLiveResult } from '../../src/schemas/stages';
import type { ObjectStore } from '../../src/storage/object-store';
import { digest } from '../fakes/fake-activities';
import { createMemoryObjectStore } from '../fakes/memory-object-store';
import { at, feedback, ms, putFeedback, putSegment } from '../unit/trajectories/live-store';
import { runActivity } from './desk';

const config = ChoiceConfig.parse({
  arms: ['dear', 'cheap'].map((name) => ({ kind: 'request', name, patch: { model: name } })),
});
const files = new Map([
  ['config.json', Buffer.from(JSON.stringify({ formatVersion: 1, ...config }))],
]);
const NOW = '12:00:00';

const routed = (id: string, time: string, arm = 'cheap', rest: Partial<Decision> = {}) => ({
  session: `live/desk/${id}`,
  messages: [{ role: 'user' as const, content: `query ${id}` }],
  decision: {
    ...{ id, at: at(time), policy: 'router', checkpoint: digest(7) },
    sampled: { kind: 'arm' as const, arm, propensity: 0.25, available: 2, arms: ['dear', 'cheap'] },
    upstream: { name: 'main', model: arm, responseId: `up-${id}` },
    costMicros: arm === 'dear' ? 100 : 10,
    ...rest,
  },
});

async function openTraffic(): Promise<ObjectStore> {
  const store = createMemoryObjectStore();
  await putSegment(store, 's', [
    routed('a', '10:00:00'),
    routed('b', '10:00:01', 'dear'),
    routed('unsaid', '10:00:02'),
    routed('free', '10:00:03', 'cheap', { costMicros: undefined }),
    routed('redacted', '10:00:04', 'cheap', { untrainable: 'redacted' }),
    routed('other', '10:00:05', 'cheap', { policy: 'another' }),
    routed('young', '11:59:59'),
  ]);
  const said: [string, number][] = [
    ['a', 1],
    ['b', 0],
    ['free', 1],
    ['redacted', 1],
    ['other', 1],
    ['young', 1],
  ];
  for (const [id, value] of said) {
    await putFeedback(
      store,
      feedback({
        id: `f-${id}`,
        decision: id,
        trajectory: `live/desk/${id}`,
        value,
        at: at('11:00:00'),
      }),
    );
  }
  return store;
}

async function collectFrom(
  store: ObjectStore,
  rest: Partial<CollectLiveInput> = {},
  decisions = 2,
): Promise<CollectLiveResult> {
  const activities = createCollectLiveActivities({
    store,
    now: () => ms(NOW),
    pollMs: 1,
    segmentDecisions: 1,
  });
  return runActivity(() =>
    activities.collectLive({
      ...{ run: 'router-1.abc', iteration: 0, policy: 'router', checkpoint: digest(7) },
      ...{ dataset: digest(9), datasetName: 'desk', from: at('00:00:00'), patience: '0ms' },
      weights: { feedback: 1, thrift: 0.25 },
      live: { agent: 'desk', decisions, window: '1d', settle: '2m', costPerCall: 100, heldOut: 0 },
      ...rest,
    }),
  );
}

describe('collecting live feedback', () => {
  test('takes the policy’s decisions that somebody has judged, with their cost in the reward, as training reads it', async () => {
    const store = await openTraffic();
    const collected = await collectFrom(store);
    expect(collected).toMatchObject({
      kind: 'collected',
      to: at('11:58:00'),
      decisions: 2,
      heldOut: null,
      drops: { 'no-cost': 1, redacted: 1 },
    });
    if (collected.kind !== 'collected') return;
    const read = await readFeedback(
      store,
      { ...collected.training, weights: { feedback: 1, thrift: 0.25 } },
      files,
    );
    expect(read).toEqual([
      {
        text: 'query a',
        available: ['dear', 'cheap'],
        arm: 'cheap',
        propensity: 0.25,
        reward: (1 + 0.25 * 0.9) / 1.25,
      },
      { text: 'query b', available: ['dear', 'cheap'], arm: 'dear', propensity: 0.25, reward: 0 },
    ]);
    expect(collected.reward?.value).toBeCloseTo((1.225 / 1.25 + 0) / 2, 12);
  });

  test('says how many there are where there are not enough', async () => {
    expect(await collectFrom(await openTraffic(), {}, 3)).toEqual({
      kind: 'waiting',
      decisions: 2,
    });
    expect(await collectFrom(createMemoryObjectStore(), { from: at(NOW) })).toEqual({
      kind: 'waiting',
      decisions: 0,
    });
  });

  test('waits for more as long as it is patient', async () => {
    const store = createMemoryObjectStore();
    const patient = collectFrom(store, { patience: '10s' }, 1);
    await putSegment(store, 's', [routed('a', '10:00:00')]);
    await putFeedback(
      store,
      feedback({ id: 'f', decision: 'a', trajectory: 'live/desk/a', value: 1, at: at('11:00:00') }),
    );
    expect(await patient).toMatchObject({ kind: 'collected', decisions: 1 });
  });

  test('holds texts out by their hash, apart from what is trained on', async () => {
    const store = createMemoryObjectStore();
    const ids = Array.from({ length: 40 }, (_, i) => `q${i}`);
    await putSegment(
      store,
      's',
      ids.map((id) => routed(id, '10:00:00')),
    );
    for (const id of ids) {
      await putFeedback(
        store,
        feedback({
          id: `f-${id}`,
          decision: id,
          trajectory: `live/desk/${id}`,
          value: 1,
          at: at('11:00:00'),
        }),
      );
    }
    const live = {
      agent: 'desk',
      decisions: 40,
      window: '1d',
      settle: '2m',
      costPerCall: null,
      heldOut: 0.25,
    };
    const collected = await collectFrom(store, { live, weights: { feedback: 1 } });
    if (collected.kind !== 'collected' || collected.heldOut === null)
      throw new Error('expected both');
    const read = async (source: typeof collected.training) =>
      (await readFeedback(store, { ...source, weights: { feedback: 1 } }, files)).map(
        ({ text }) => text,
      );
    const [training, heldOut] = [await read(collected.training), await read(collected.heldOut)];
    expect([...training, ...heldOut].sort()).toEqual(ids.map((id) => `query ${id}`).sort());
    expect(heldOut.length).toBeGreaterThan(3);
    expect(heldOut.length).toBeLessThan(20);
  });
});
