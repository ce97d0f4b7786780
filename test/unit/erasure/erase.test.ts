import { erase } from '../../../src/erasure/erase';
import { createRewardWriter } from '../../../src/gateway/recording/reward-writer';
import { createSpoolDrain } from '../../../src/gateway/recording/drain-spool';
import { createSpoolRecorder } from '../../../src/gateway/recording/spool-recorder';
import type { Spool } from '../../../src/gateway/recording/spool';
import { verifyStore } from '../../../src/integrity/verify-store';
import type { LiveLine } from '../../../src/schemas/live-line';
import { encodeJsonLine } from '../../../src/storage/json-objects';
import { liveSegmentKey } from '../../../src/storage/keys';
import type { ObjectStore } from '../../../src/storage/object-store';
import { listLiveAgents, reindexAgent } from '../../../src/trajectories/reindex';
import { readLiveDecisions } from '../../../src/trajectories/read-live-decisions';
import { FAULTS, faultyStore } from '../../fakes/faulty-store';
import { createMemoryObjectStore } from '../../fakes/memory-object-store';
import { createSpoolFixture, type SpoolFixture } from '../../helpers/spools';
import { activitiesOn, oneIteration } from '../../helpers/small-iteration';
import { recordedCall } from '../gateway/recorded-call';
import {
  assistant,
  at,
  collect,
  DAY,
  feedback,
  ms,
  putFeedback,
  putSegment,
  user,
} from '../trajectories/live-store';

const ANN = 'live/desk/ann';
const BEN = 'live/desk/ben';
const NOW = ms('23:00:00');
const SECRET = 'ann lives in Rome';
const PSEUDONYM = `[user:${'a'.repeat(16)}]`;

let store: ObjectStore;
beforeEach(async () => {
  store = createMemoryObjectStore();
  await filled(store);
});

/** Ann's and Ben's calls in two segments, one of which no manifest lists; what they share, and feedback on both. */
async function filled(into: ObjectStore): Promise<void> {
  const shared = user('what both ask');
  await putSegment(into, 'first', [
    {
      session: ANN,
      decision: {
        id: 'a1',
        at: at('10:00:00'),
        upstream: { name: 'u', model: 'm', responseId: 'up1' },
      },
      messages: [shared, user(SECRET)],
      answer: assistant('noted, Rome'),
    },
    { session: BEN, decision: { id: 'b1', at: at('10:01:00') }, messages: [shared] },
  ]);
  await reindexAgent(into, 'desk');
  await putSegment(into, 'unlisted', [
    { session: ANN, decision: { id: 'a2', at: at('10:02:00') }, messages: [user(SECRET)] },
  ]);
  const call = { session: ANN, agent: 'desk', model: 'm', at: at('11:00:00') };
  const rest = { protocol: 'embeddings', upstream: { name: 'u', model: 'm' } } as const;
  const lines: LiveLine[] = [
    { type: 'unresolved', call: { ...call, id: 'open' } },
    { type: 'use', use: { ...call, ...rest, id: 'used', usage: null, latencyMs: 1 } },
    { type: 'unresolved', call: { ...call, id: 'bens', session: BEN } },
  ];
  const bytes = new TextEncoder().encode(lines.map(encodeJsonLine).join(''));
  await into.put(liveSegmentKey('desk', DAY, 11, 'calls'), bytes);
  await putFeedback(into, feedback({ at: at('12:00:00'), trajectory: ANN, comment: SECRET }));
  await putFeedback(into, feedback({ at: at('12:00:01'), trajectory: 'answers/desk/up1' }));
  await putFeedback(into, feedback({ at: at('12:00:02'), trajectory: BEN }));
}

const eraseAnn = (from: ObjectStore = store) =>
  erase(from, { sessions: new Set([ANN]), users: new Set() }, { nowMs: NOW });

async function allText(of: ObjectStore = store): Promise<string> {
  const texts: string[] = [];
  for await (const { key } of of.list(''))
    texts.push(key, new TextDecoder().decode((await of.get(key)).bytes));
  return texts.join('\n');
}

async function decisions(of: ObjectStore = store): Promise<string[]> {
  const range = { agent: 'desk', fromMs: 0, toMs: NOW, asOfMs: NOW };
  return (await collect(readLiveDecisions(of, range))).map(({ decision }) => decision.id);
}

async function findings(of: ObjectStore = store): Promise<readonly unknown[]> {
  return (await verifyStore(of, { isDeep: true, doesQuarantine: false })).findings;
}

it('takes out a session wherever it is, and leaves what another session needs', async () => {
  expect(await eraseAnn()).toMatchObject({ calls: 4, feedback: 2, sessions: 1 });
  const text = await allText();
  for (const gone of [SECRET, 'noted, Rome', ANN, 'up1', '"open"', '"used"'])
    expect(text).not.toContain(gone);
  expect(text).toContain('what both ask');
  expect(text).toContain('bens');
  expect(await decisions()).toEqual(['b1']);
  expect(await findings()).toEqual([]);
});

it('the same again changes nothing', async () => {
  await eraseAnn();
  const before = await allText();
  expect(await eraseAnn()).toMatchObject({ calls: 0, feedback: 0 });
  expect(await allText()).toBe(before);
});

it('after a fault at any write a repeat reaches the same end, and readers see whole sessions meanwhile', async () => {
  const writes = async (): Promise<number> => {
    const counted = faultyStore(store, -1, 'failed');
    await eraseAnn(counted);
    return counted.writes();
  };
  const count = await writes();
  expect(count).toBeGreaterThan(8);
  const clean = await allText();
  for (const fault of FAULTS) {
    for (let nth = 0; nth < count; nth++) {
      const own = createMemoryObjectStore();
      await filled(own);
      const faulty = faultyStore(own, nth, fault);
      await eraseAnn(faulty).catch(() => undefined);
      expect(await findings(own)).not.toContainEqual(
        expect.objectContaining({ problem: 'missing' }),
      );
      expect(await decisions(own)).toContain('b1');
      await eraseAnn(own);
      await faulty.settle();
      await eraseAnn(own); // a put that landed late
      expect({ fault, nth, text: await allText(own) }).toEqual({ fault, nth, text: clean });
    }
  }
});

it('a user’s are all sessions that a call of theirs is in, with what others said there', async () => {
  await putSegment(store, 'users', [
    { session: 'live/desk/x', decision: { id: 'x1', at: at('13:00:00'), user: PSEUDONYM } },
  ]);
  await putSegment(store, 'users-more', [
    { session: 'live/desk/x', decision: { id: 'x2', at: at('14:00:00') } },
  ]);
  const target = { sessions: new Set<string>(), users: new Set([PSEUDONYM]) };
  expect(await erase(store, target, { nowMs: NOW })).toMatchObject({ calls: 2, sessions: 1 });
  expect((await decisions()).filter((id) => id.startsWith('x'))).toEqual([]);
});

it('calls without a session that go on from an erased one’s answer go with it', async () => {
  await putSegment(store, 'goes-on', [
    {
      session: 'live/desk/call-3f2c8a6e-8b1d-4c5e-9f00-123456789abc',
      decision: { id: 'on', at: at('10:03:00') },
      messages: [user('what both ask'), user(SECRET), assistant('noted, Rome'), user('and now?')],
    },
  ]);
  await reindexAgent(store, 'desk');
  await eraseAnn();
  expect(await allText()).not.toContain(SECRET);
});

it('late feedback on an erased session or answer is answered, and not kept', async () => {
  await eraseAnn();
  const before = await allText();
  const rewards = createRewardWriter(store);
  for (const trajectory of [ANN, 'answers/desk/up1']) {
    const late = feedback({ at: at('20:00:00'), trajectory, comment: SECRET });
    expect(await rewards.write(late)).toMatchObject({ outcome: 'erased' });
  }
  expect(await allText()).toBe(before);
});

it('feedback that is given while its session is erased is not kept', async () => {
  let isFirst = true;
  const rewards = createRewardWriter({
    ...store,
    async put(...args) {
      if (isFirst) await eraseAnn();
      isFirst = false;
      return store.put(...args);
    },
  });
  const late = feedback({ at: at('20:00:00'), trajectory: ANN, comment: SECRET });
  expect(await rewards.write(late)).toMatchObject({ outcome: 'erased' });
  expect(await allText()).not.toContain(SECRET);
});

describe('what is in a spool', () => {
  let fixture: SpoolFixture;
  let spool: Spool;
  beforeEach(async () => {
    fixture = await createSpoolFixture();
    spool = fixture.open().spool;
    const recorder = createSpoolRecorder({ spool });
    const messages = new Map([
      ['anns', user(SECRET)],
      ['answer', assistant('so')],
    ]);
    const context = ['anns'];
    await recorder.record(
      recordedCall(
        { id: 'late', user: PSEUDONYM, context, at: at('10:30:00') },
        { session: ANN, messages },
      ),
    );
    await recorder.record(recordedCall({ id: 'bens', at: at('10:30:00') }, { session: BEN }));
    await recorder.intents?.open({
      id: 'i',
      session: ANN,
      agent: 'desk',
      model: 'm',
      at: at('10:30:00'),
    });
    await spool.seal('now');
  });
  afterEach(async () => {
    await spool.close();
    await spool.release();
    await fixture.remove();
  });

  it('is not brought back by a drain that comes later, nor listed by a reindex', async () => {
    await eraseAnn();
    await createSpoolDrain({ spool, store }).drain();
    for (const agent of await listLiveAgents(store)) await reindexAgent(store, agent);
    expect(await allText()).not.toContain(SECRET);
    expect(await decisions()).toEqual(['b1', 'bens']);
    expect(await findings()).toEqual([]);
  });

  it('is not brought back by a drain that is under way', async () => {
    let isFirst = true;
    const slow: ObjectStore = {
      ...store,
      async put(key, ...rest) {
        if (isFirst && key.startsWith('v1/live/')) {
          isFirst = false;
          await eraseAnn();
        }
        return store.put(key, ...rest);
      },
    };
    await createSpoolDrain({ spool, store: slow }).drain();
    expect(await allText()).not.toContain(SECRET);
    expect(await decisions()).toEqual(['b1', 'bens']);
    expect(await findings()).toEqual([]);
  });

  it('of an erased user goes too, and their session stays erased', async () => {
    const target = { sessions: new Set<string>(), users: new Set([PSEUDONYM]) };
    await erase(store, target, { nowMs: NOW });
    await createSpoolDrain({ spool, store }).drain();
    const late = feedback({ at: at('20:00:00'), trajectory: ANN });
    expect(await createRewardWriter(store).write(late)).toMatchObject({ outcome: 'erased' });
    expect(await decisions()).toEqual(['a1', 'b1', 'bens']);
  });
});

it('says which checkpoints were trained on a session, and which runs hold it', async () => {
  await oneIteration(activitiesOn(store));
  let session = '';
  for await (const { key } of store.list('v1/runs/')) {
    const text = new TextDecoder().decode((await store.get(key)).bytes);
    if (key.includes('/trajectories/') && !key.includes('.select'))
      session ||= /"trajectory":\{[^\n]*?"id":"([^"]+)","member"/.exec(text)?.[1] ?? '';
  }
  const { teaching } = await erase(
    store,
    { sessions: new Set([session]), users: new Set() },
    { nowMs: NOW },
  );
  expect(teaching.runs).toHaveLength(1);
  expect(teaching.trained.length + teaching.descendants.length).toBeGreaterThan(0);
});
