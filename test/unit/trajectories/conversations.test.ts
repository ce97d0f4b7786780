import { readFeedback } from '../../../src/rollouts/read-feedback';
import { createSegmentDraft } from '../../../src/rollouts/segment-draft';
import { writeJsonLines } from '../../../src/storage/json-objects';
import { putRef } from '../../../src/storage/object-ref';
import type { ObjectStore } from '../../../src/storage/object-store';
import { summarize } from '../../../src/trajectories/conversation-summary';
import { isMixed, toTrainingTrajectory } from '../../../src/trajectories/export-conversation';
import { findConversations } from '../../../src/trajectories/find-conversations';
import { readConversations } from '../../../src/trajectories/read-conversations';
import { listLiveAgents, reindexAgent } from '../../../src/trajectories/reindex';
import { renderConversation, renderSummaries } from '../../../workers/render-conversation';
import { createMemoryObjectStore } from '../../fakes/memory-object-store';
import { OTHER } from '../gateway/gateway-fixture';
import {
  assistant,
  at,
  collect,
  feedback,
  ms,
  putFeedback,
  putSegment,
  user,
  type Said,
} from './live-store';

const QUERY = {
  agent: 'desk',
  ...{ fromMs: ms('00:00:00'), toMs: ms('23:59:59'), asOfMs: ms('23:59:59') },
};
const upstream = { name: 'openai', model: 'gpt-5', responseId: 'resp_1' };
const unnamed = (n: number): string => `live/desk/call-00000000-0000-4000-8000-00000000000${n}`;

/** Two calls that belong together, a retry and a branch in a named session, and somebody else's. */
async function written(): Promise<ObjectStore> {
  const store = createMemoryObjectStore();
  const ours = { policy: 'support', checkpoint: OTHER, toolset: 'toolset' };
  const hi = [user('hi')];
  const all: Said[] = [
    {
      session: unnamed(1),
      decision: { id: 'a', at: at('10:00:00'), upstream, policy: null, costMicros: 1_500 },
      messages: hi,
      answer: assistant('hello'),
    },
    {
      session: unnamed(2),
      decision: { id: 'b', at: at('10:01:00'), upstream: { ...upstream, responseId: 'resp_2' } },
      messages: [...hi, assistant('hello'), user('\u001b[31mwhere is it?\nquick')],
    },
    { session: 'live/desk/s', decision: { id: 'c', at: at('11:00:00'), ...ours }, messages: hi },
    {
      session: 'live/desk/s',
      decision: { id: 'd', at: at('11:00:30'), ...ours },
      ...{ messages: hi, answer: assistant('good day') },
    },
    ...['e', 'f'].map((id, i) => ({
      session: 'live/desk/s',
      decision: { id, at: at(`11:0${i + 1}:00`), ...ours },
      messages: [...hi, assistant('good day'), user(id)],
    })),
  ];
  await putSegment(store, 'g-1', all.slice(0, 2));
  await putSegment(store, 'g-2', all.slice(2));
  await putSegment(
    store,
    'o',
    [{ session: 'live/other/s', decision: { id: 'x', at: at('10:00:00') } }],
    'other',
  );
  await putFeedback(store, feedback({ at: at('12:00:00'), value: 1, comment: 'thanks' }));
  await putFeedback(store, feedback({ at: at('12:01:00'), decision: 'a', value: 0.5 }));
  return store;
}

describe('conversations of an agent', () => {
  test('are listed with calls, scores, tokens and cost', async () => {
    const found = await collect(readConversations(await written(), QUERY));
    const summaries = found.map(summarize);
    expect(summaries).toMatchObject([
      {
        ...{ id: unnamed(1), calls: 2, unconsumed: 0, isClosed: true, scores: { feedback: 0.5 } },
        ...{ models: ['openai/gpt-5'], promptTokens: 2, costMicros: 1_500 },
      },
      { id: 'live/desk/s', calls: 4, unconsumed: 1, scores: { feedback: 1 }, feedback: 1 },
    ]);
    expect(renderSummaries(summaries)).toMatch(/live\/desk\/s .*ratchet\/support +feedback 1 /);
  });

  test('are filtered as a whole', async () => {
    const store = await written();
    const ids = async (filter: object): Promise<string[]> =>
      (await collect(readConversations(store, { ...QUERY, filter }))).map(({ id }) => id);
    expect(await ids({ model: 'gpt-5' })).toEqual([unnamed(1)]);
    expect(await ids({ policy: 'support', hasFeedback: true })).toContain('live/desk/s');
    expect(await ids({ upstream: 'nobody' })).toEqual([]);
  });

  test.each(['live/desk/s', 's', 'd'])('are found by %s', async (name) => {
    const found = await findConversations(await written(), QUERY, name);
    expect(found.map(({ id }) => id)).toEqual(['live/desk/s']);
  });

  test('are found by an upstream’s id, and not by what fits none', async () => {
    const store = await written();
    expect((await findConversations(store, QUERY, 'resp_2'))[0]?.id).toBe(unnamed(1));
    await expect(findConversations(store, QUERY, 'nobody')).rejects.toThrow(/--from/);
    await expect(findConversations(store, QUERY, 'live/desk/')).rejects.toThrow(/several sessions/);
  });

  test('are shown as trees, without what would move a terminal', async () => {
    const store = await written();
    const [linked] = await findConversations(store, QUERY, 'a');
    const text = linked === undefined ? '' : renderConversation(linked, { isFull: false });
    expect(text).toContain('user: ·[31mwhere is it? ⏎ quick');
    expect(text.match(/user: hi/g)).toHaveLength(1); // said once, shown once
    const [branched] = await findConversations(store, QUERY, 's');
    const tree = branched === undefined ? '' : renderConversation(branched, { isFull: false });
    expect(tree).toContain('feedback  feedback 1 “thanks” (key:k, 2026-11-23T12:00:00Z)');
    expect(tree).toMatch(/^1 {2}11:00:00 .*unconsumed/m);
    expect(tree).toMatch(/^2 {2}11:00:30/m);
    expect(tree).toMatch(/^ {3}3 {2}11:01:00/m);
    expect(tree).toMatch(/^ {3}4 {2}11:02:00/m);
  });

  test('that several checkpoints answered in are mixed', async () => {
    const store = createMemoryObjectStore();
    const checkpoint = `sha256:${'d'.repeat(64)}` as const;
    const session = 'live/desk/s';
    await putSegment(store, 's', [
      { session, decision: { id: 'a', at: at('10:00:00') } },
      { session, decision: { id: 'b', at: at('10:01:00'), checkpoint } },
    ]);
    const [found] = await collect(readConversations(store, QUERY));
    expect(found !== undefined && isMixed(found)).toBe(true);
  });
});

test('a conversation is a training example like any rollout, without what may not be trained on', async () => {
  const store = await written();
  await putSegment(store, 'g-3', [
    {
      session: 'live/desk/s',
      decision: { id: 'g', at: at('11:03:00'), untrainable: 'redacted' },
    },
  ]);
  const [conversation] = await findConversations(store, QUERY, 's');
  const example = conversation === undefined ? null : toTrainingTrajectory(conversation);
  if (example === null) throw new Error('there is one');
  expect(example.trajectory.decisions.map(({ id, sequence }) => [id, sequence])).toEqual([
    ...[
      ['d', 1],
      ['e', 2],
      ['f', 3],
    ],
  ]);
  const draft = createSegmentDraft();
  draft.add(example);
  const segment = await draft.write(store, 'v1/runs/r/000000/trajectories/a.jsonl');
  const manifest = {
    ...{ formatVersion: 1, checkpoint: OTHER, segments: [segment], rollouts: 1 },
    ...{ outcomes: {}, drops: {} },
  };
  const bytes = new TextEncoder().encode(JSON.stringify(manifest));
  const batch = await putRef(store, 'v1/runs/r/000000/trajectories/b.jsonl', bytes);
  const reward = feedback({ at: at('12:00:00'), value: 1 });
  const rewards = await writeJsonLines(store, 'v1/runs/r/000000/rewards/a.jsonl', [reward]);
  const config = {
    formatVersion: 1,
    arms: ['refund', 'weather', 'escalate_to_human'].map((tool) => ({
      kind: 'tool',
      name: tool,
      tool,
    })),
  };
  const files = new Map([['config.json', new TextEncoder().encode(JSON.stringify(config))]]);
  const source = { batches: [batch], rewards, weights: { feedback: 1 } };
  await expect(readFeedback(store, source, files as never)).resolves.toMatchObject([
    { reward: 1, propensity: 0.5 },
    { reward: 1 },
    { reward: 1 },
  ]);
});

test('agents are listed, and their segments in their hours', async () => {
  const store = await written();
  expect(await listLiveAgents(store)).toEqual(['desk', 'other']);
  expect(await reindexAgent(store, 'desk')).toEqual({ hours: 2, added: 0 }); // made whole
  await putSegment(store, 'late', [{ session: 's', decision: { id: 'z', at: at('10:30:00') } }]);
  expect(await reindexAgent(store, 'desk')).toEqual({ hours: 2, added: 1 });
  expect(await reindexAgent(store, 'desk')).toEqual({ hours: 2, added: 0 });
});
