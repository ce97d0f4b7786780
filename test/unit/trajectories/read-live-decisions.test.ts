import { IntegrityError } from '../../../src/errors';
import { answerTrajectory } from '../../../src/schemas/feedback';
import { scoresOf } from '../../../src/trajectories/feedback-index';
import type { LiveQuery } from '../../../src/trajectories/read-live-decisions';
import { readLiveDecisions } from '../../../src/trajectories/read-live-decisions';
import type { ObjectStore } from '../../../src/storage/object-store';
import { createMemoryObjectStore } from '../../fakes/memory-object-store';
import { at, collect, feedback, ms, putFeedback, putSegment } from './live-store';

const ALL: LiveQuery = {
  agent: 'desk',
  fromMs: ms('00:00:00'),
  toMs: ms('23:59:59'),
  asOfMs: ms('23:59:59'),
};
const upstream = { name: 'openai', model: 'gpt-5', responseId: 'resp_1' };

async function read(store: ObjectStore, query: Partial<LiveQuery> = {}): Promise<string[]> {
  const found = await collect(readLiveDecisions(store, { ...ALL, ...query }));
  return found.map(({ decision }) => decision.id);
}

describe('live decisions', () => {
  test('come in the order in which they were answered, whichever segments hold them', async () => {
    const store = createMemoryObjectStore();
    const one = (id: string, time: string) => ({
      session: 'live/desk/s',
      decision: { id, at: at(time) },
    });
    await putSegment(store, 'z-1', [one('a', '10:00:01'), one('d', '10:00:04')]);
    await putSegment(store, 'a-1', [one('c', '10:00:03'), one('b', '10:00:02')]);
    await putSegment(store, 'a-2', [one('e', '10:30:00')]);
    await putSegment(store, 'a-3', [one('f', '11:00:00')]);
    await putSegment(store, 'other', [one('g', '10:00:00')], 'other');
    expect(await read(store)).toEqual(['a', 'b', 'c', 'd', 'e', 'f']);
    expect(await read(store, { fromMs: ms('10:00:02'), toMs: ms('11:00:00') })).toEqual([
      ...['b', 'c', 'd', 'e'],
    ]);
    expect(await read(store, { agent: 'nobody' })).toEqual([]);
  });

  test('that were written twice count once', async () => {
    const store = createMemoryObjectStore();
    const one = { session: 'live/desk/s', decision: { id: 'a', at: at('10:00:01') } };
    await putSegment(store, 'first', [one]);
    await putSegment(store, 'first-again', [
      one,
      { ...one, decision: { id: 'b', at: at('10:00:01') } },
    ]);
    expect(await read(store)).toEqual(['a', 'b']);
  });

  test('hold the messages and the answer that their ids stand for', async () => {
    const store = createMemoryObjectStore();
    await putSegment(store, 's', [
      {
        session: 'live/desk/s',
        decision: { id: 'a', at: at('10:00:00') },
        messages: [{ role: 'user', content: 'where is it?' }],
        answer: { role: 'assistant', content: 'on its way' },
      },
    ]);
    const [found] = await collect(readLiveDecisions(store, ALL));
    expect(found).toMatchObject({
      ...{ agent: 'desk', session: 'live/desk/s', tools: null },
      messages: [{ role: 'user', content: 'where is it?' }],
      answer: { role: 'assistant', content: 'on its way' },
    });
  });

  test('are filtered by session, model, upstream and policy', async () => {
    const store = createMemoryObjectStore();
    await putSegment(store, 's', [
      { session: 'live/desk/s', decision: { id: 'a', at: at('10:00:00'), policy: null, upstream } },
      { session: 'live/desk/t', decision: { id: 'b', at: at('10:00:01'), policy: 'support' } },
    ]);
    expect(await read(store, { filter: { session: 'live/desk/t' } })).toEqual(['b']);
    expect(await read(store, { filter: { model: 'gpt-5' } })).toEqual(['a']);
    expect(await read(store, { filter: { upstream: 'openai' } })).toEqual(['a']);
    expect(await read(store, { filter: { policy: 'support' } })).toEqual(['b']);
    expect(await read(store, { filter: { policy: 'support', model: 'gpt-5' } })).toEqual([]);
  });

  test('of a damaged segment stop the reader, who is told which it is', async () => {
    const store = createMemoryObjectStore();
    const key = await putSegment(store, 's', [
      { session: 'live/desk/s', decision: { id: 'a', at: at('10:00:00') } },
    ]);
    await store.put(key, new TextEncoder().encode('{"type":"mess'));
    await expect(read(store)).rejects.toThrow(IntegrityError);
    await expect(read(store)).rejects.toMatchObject({ context: { key } });
  });
});

describe('feedback on live decisions', () => {
  const decision = { id: 'a', at: at('10:00:00'), policy: null, upstream };
  async function withFeedback(...records: Parameters<typeof feedback>[0][]) {
    const store = createMemoryObjectStore();
    await putSegment(store, 's', [{ session: 'live/desk/s', decision }]);
    for (const record of records) await putFeedback(store, feedback(record));
    return store;
  }
  const one = async (store: ObjectStore, query: Partial<LiveQuery> = {}) => {
    const [found] = await collect(readLiveDecisions(store, { ...ALL, ...query }));
    return found ?? null;
  };

  test('is found by session, by our id of the answer and by the upstream’s', async () => {
    const store = await withFeedback(
      { at: at('10:01:00'), value: 0.1 },
      { at: at('10:03:00'), decision: 'a', value: 0.3 },
      { at: at('10:02:00'), trajectory: answerTrajectory('desk', 'resp_1'), value: 0.2 },
      { at: at('10:04:00'), trajectory: answerTrajectory('other', 'resp_1'), value: 9 },
      { at: at('10:05:00'), trajectory: 'live/desk/another', value: 9 },
    );
    const found = await one(store);
    expect(found?.sessionFeedback.map(({ value }) => value)).toEqual([0.1]);
    expect(found?.feedback.map(({ value }) => value)).toEqual([0.2, 0.3]);
  });

  test('counts from its own time on, weeks later too', async () => {
    const store = await withFeedback({ at: '2026-12-20T08:00:00.000Z', value: 0 });
    expect((await one(store))?.sessionFeedback).toEqual([]);
    const later = await one(store, { asOfMs: Date.parse('2026-12-20T08:00:00.000Z') });
    expect(later?.sessionFeedback).toHaveLength(1);
  });

  test('that was corrected counts as corrected from then on, and as it was before', async () => {
    const store = await withFeedback(
      { id: 'k.1', at: at('10:01:00'), value: 1 },
      { id: 'k.2', at: at('12:00:00'), value: 0, supersedes: 'k.1' },
    );
    const scores = async (asOf: string) =>
      scoresOf((await one(store, { asOfMs: ms(asOf) }))?.sessionFeedback ?? []).get('feedback');
    expect([await scores('11:00:00'), await scores('12:00:00')]).toEqual([1, 0]);
    expect((await one(store))?.sessionFeedback.map(({ id }) => id)).toEqual(['k.2']);
  });

  test('that only comments measures nothing', async () => {
    const store = await withFeedback(
      { at: at('10:01:00'), value: 1 },
      { at: at('10:02:00'), value: null, comment: 'rude' },
    );
    const found = await one(store);
    expect(found?.sessionFeedback).toHaveLength(2);
    expect([...scoresOf(found?.sessionFeedback ?? [])]).toEqual([['feedback', 1]]);
  });

  test('can be asked for, or its absence', async () => {
    const store = await withFeedback({ at: at('10:01:00') });
    await putSegment(store, 't', [
      { session: 'live/desk/t', decision: { id: 'b', at: at('10:00:30') } },
    ]);
    expect(await read(store, { filter: { hasFeedback: true } })).toEqual(['a']);
    expect(await read(store, { filter: { hasFeedback: false } })).toEqual(['b']);
  });
});
