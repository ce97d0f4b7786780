import { InvalidInputError } from '../../../src/errors';
import { createRewardWriter } from '../../../src/gateway/recording/reward-writer';
import { createResponseId } from '../../../src/gateway/keys/response-id';
import { FeedbackRecord } from '../../../src/schemas/feedback';
import { readJsonLines } from '../../../src/storage/json-objects';
import { rewardsPrefix } from '../../../src/storage/keys';
import type { ObjectStore } from '../../../src/storage/object-store';
import { createMemoryObjectStore } from '../../fakes/memory-object-store';
import { chat, createFixture, NOW, SIGNING_KEY } from './gateway-fixture';

const FEEDBACK = '/v1/feedback';

async function stored(store: ObjectStore): Promise<FeedbackRecord[]> {
  const records: FeedbackRecord[][] = [];
  for await (const { key } of store.list(rewardsPrefix())) {
    records.push(await readJsonLines(store, key, FeedbackRecord));
  }
  return records.flat();
}

describe('feedback', () => {
  test('on an answer rewards its decision, durably', async () => {
    const gateway = await createFixture();
    const agent = await gateway.key({ role: 'agent', agent: 'desk' });
    const headers = { 'x-ratchet-session': 's1' };
    const call = await gateway.post('/v1/chat/completions', agent, chat(), headers);
    const reply = await gateway.post(FEEDBACK, agent, {
      response_id: call.body.id,
      value: true,
      comment: 'thanks',
    });
    expect(reply.status).toBe(200);
    const [record] = await stored(gateway.store);
    expect(record).toMatchObject({
      ...{ trajectory: 'live/desk/s1', decision: call.body.id, value: 1, comment: 'thanks' },
      ...{ scorer: 'feedback', by: `key:${agent.slice(3, 15)}`, supersedes: null },
    });
    expect(reply.body).toEqual({ object: 'feedback', ...record });
  });

  test('on an answer in which nothing was decided rewards the whole trajectory', async () => {
    const gateway = await createFixture();
    const agent = await gateway.key({ role: 'agent', agent: 'desk' });
    const messages = [{ role: 'tool', tool_call_id: 'c', content: 'refunded' }];
    const call = await gateway.post('/v1/chat/completions', agent, chat({ messages, user: 'u' }));
    await gateway.post(FEEDBACK, agent, { response_id: call.body.id, value: 0.5 });
    expect(await stored(gateway.store)).toMatchObject([
      { trajectory: 'live/desk/u', decision: null, value: 0.5 },
    ]);
  });

  test('under one id counts once; other content under it is a conflict', async () => {
    const gateway = await createFixture();
    const scorer = await gateway.key({ role: 'scorer' });
    const body = { session: 'run-1/0/task-1/0', value: false, id: 'f1' };
    const first = await gateway.post(FEEDBACK, scorer, body);
    const second = await gateway.post(FEEDBACK, scorer, body);
    const { id, ...rest } = body;
    const header = await gateway.post(FEEDBACK, scorer, rest, { 'idempotency-key': id });
    expect([first.status, second.status, header.status]).toEqual([200, 200, 200]);
    expect(second.body).toEqual(first.body);
    expect(header.body).toEqual(first.body);
    const other = await gateway.post(FEEDBACK, scorer, { ...body, value: true });
    expect(other).toMatchObject({ status: 409, body: { error: { code: 'idempotency_conflict' } } });
    expect(await stored(gateway.store)).toMatchObject([{ value: 0 }]);
    // Ids belong to the key that sent them.
    const another = await gateway.key({ role: 'scorer' });
    expect((await gateway.post(FEEDBACK, another, { ...body, value: true })).status).toBe(200);
  });

  test('without an id counts once if it says the same', async () => {
    const gateway = await createFixture();
    const scorer = await gateway.key({ role: 'scorer' });
    for (const value of [1, 1, true, 0]) {
      const reply = await gateway.post(FEEDBACK, scorer, { session: 's', value });
      expect(reply.status).toBe(200);
    }
    await gateway.post(FEEDBACK, scorer, { session: 't', value: 1 });
    expect((await stored(gateway.store)).map(({ value }) => value).sort()).toEqual([0, 1, 1]);
  });

  test('may be a comment alone, or the better answer as text or as a message', async () => {
    const gateway = await createFixture();
    const agent = await gateway.key({ role: 'agent', agent: 'desk' });
    const call = await gateway.post('/v1/chat/completions', agent, chat({ user: 'u' }));
    const on = { response_id: call.body.id };
    const message = { role: 'assistant', content: null, tool_calls: [] };
    for (const said of [
      { comment: 'rude' },
      { demonstration: 'Sorry!' },
      { demonstration: message },
    ]) {
      const reply = await gateway.post(FEEDBACK, agent, { ...on, ...said });
      expect(reply).toMatchObject({ status: 200, body: { value: null, decision: call.body.id } });
    }
    const demonstrations = (await stored(gateway.store)).map((record) => record.demonstration);
    expect(demonstrations).toEqual(
      expect.arrayContaining([undefined, { role: 'assistant', content: 'Sorry!' }, message]),
    );
  });

  test('on an answer under the id that its upstream gave it is kept for whoever reads', async () => {
    const gateway = await createFixture();
    const agent = await gateway.key({ role: 'agent', agent: 'desk' });
    const scorer = await gateway.key({ role: 'scorer' });
    for (const id of ['chatcmpl-B9MHDbslfkBeAs8l4bebGdFOJ6PeG', 'resp_67ccd2', 'msg_01XFD']) {
      const body = { response_id: id, value: 1 };
      const trajectory = `answers/desk/${id}`;
      expect((await gateway.post(FEEDBACK, agent, body)).body).toMatchObject({ trajectory });
      const named = await gateway.post(FEEDBACK, scorer, { ...body, agent: 'desk' });
      expect(named.body).toMatchObject({ trajectory });
    }
    const stolen = { response_id: 'resp_1', agent: 'other', value: 1 };
    expect((await gateway.post(FEEDBACK, agent, stolen)).status).toBe(403);
  });

  test('of an agent corrects what was said with its own key, and nothing else', async () => {
    const gateway = await createFixture();
    const [desk, other] = [
      await gateway.key({ role: 'agent', agent: 'desk' }),
      await gateway.key({ role: 'agent', agent: 'desk' }),
    ];
    const said = await gateway.post(FEEDBACK, desk, { session: 's', value: 1, id: 'mine' });
    const correct = (key: string, supersedes: unknown, value: number) =>
      gateway.post(FEEDBACK, key, { session: 's', value, supersedes });
    expect((await correct(desk, 'mine', 0)).body).toMatchObject({ supersedes: said.body.id });
    expect((await correct(desk, said.body.id, 0.5)).status).toBe(200);
    expect((await correct(other, said.body.id, 0)).status).toBe(403);
    const itself = { session: 's', value: 0, id: 'new', supersedes: 'new' };
    expect((await gateway.post(FEEDBACK, desk, itself)).status).toBe(400);
  });

  test('of an agent stays within its own live sessions', async () => {
    const gateway = await createFixture();
    const desk = await gateway.key({ role: 'agent', agent: 'desk' });
    const other = await gateway.key({ role: 'agent', agent: 'other' });
    const call = await gateway.post('/v1/chat/completions', desk, chat({ user: 'u' }));
    const stolen = await gateway.post(FEEDBACK, other, { response_id: call.body.id, value: 1 });
    expect(stolen).toMatchObject({ status: 403, body: { error: { code: 'not_your_session' } } });
    // Naming another agent's session only names one of its own.
    await gateway.post(FEEDBACK, other, { session: 'live/desk/u', value: 1 });
    expect(await stored(gateway.store)).toMatchObject([
      { trajectory: 'live/other/live/desk/u', value: 1 },
    ]);
  });

  test('of an agent does not reach its rollouts, with whichever key', async () => {
    const gateway = await createFixture();
    const token = gateway.session();
    const call = await gateway.post('/v1/chat/completions', token, chat());
    const body = { response_id: call.body.id, value: 1 };
    expect((await gateway.post(FEEDBACK, token, body)).status).toBe(403);
    const agent = await gateway.key({ role: 'agent', agent: 'desk' });
    expect((await gateway.post(FEEDBACK, agent, body)).status).toBe(403);
    expect(await stored(gateway.store)).toEqual([]);
    const scorer = await gateway.key({ role: 'scorer' });
    expect((await gateway.post(FEEDBACK, scorer, body)).status).toBe(200);
  });

  test('under a scorer’s name is a scorer’s to give', async () => {
    const gateway = await createFixture();
    const agent = await gateway.key({ role: 'agent', agent: 'desk' });
    const scorer = await gateway.key({ role: 'scorer' });
    const body = { session: 's', value: 1, scorer: 'resolved', scorer_version: '3' };
    expect((await gateway.post(FEEDBACK, agent, body)).status).toBe(403);
    expect((await gateway.post(FEEDBACK, scorer, body)).status).toBe(200);
    expect(await stored(gateway.store)).toMatchObject([{ scorer: 'resolved', scorerVersion: '3' }]);
  });

  test.each([
    ['neither session nor answer', { value: 1 }, 'session'],
    ['both', { session: 's', response_id: 'r', value: 1 }, 'session'],
    ['nothing said', { session: 's' }, 'value'],
    ['a better answer to no call', { session: 's', demonstration: 'Sorry!' }, 'demonstration'],
    [
      'a better answer that somebody else gave',
      { response_id: 'r', agent: 'desk', demonstration: { role: 'user', content: 'x' } },
      'demonstration',
    ],
    ['a decision that was never taken', { decision_id: 'resp_1', value: 1 }, 'decision_id'],
    ['a value that is no number', { session: 's', value: 'good' }, 'value'],
    ['an infinite value', '{"session":"s","value":1e999}', null], // no JSON of ours could hold it
    ['an answer that was made up', { response_id: 'chatcmpl-abc', value: 1 }, 'response_id'],
    ['an unknown field', { session: 's', value: 1, reward: 2 }, ''],
  ])('with %s is refused', async (_, body, param) => {
    const gateway = await createFixture();
    const scorer = await gateway.key({ role: 'scorer' });
    const reply = await gateway.post(FEEDBACK, scorer, body);
    expect(reply.status).toBe(400);
    expect(reply.body.error?.param).toBe(param);
    expect(await stored(gateway.store)).toEqual([]);
  });

  test('on an answer of another installation is refused', async () => {
    const gateway = await createFixture();
    const scorer = await gateway.key({ role: 'scorer' });
    const parts = { agent: 'desk', session: 'live/desk/u', isDecision: true };
    const id = createResponseId(new Uint8Array(32).fill(5), { ...parts, call: new Uint8Array(16) });
    expect((await gateway.post(FEEDBACK, scorer, { response_id: id, value: 1 })).status).toBe(400);
    // Not even as an upstream's: it is made as ours are.
    const named = { response_id: id, agent: 'desk', value: 1 };
    expect((await gateway.post(FEEDBACK, scorer, named)).status).toBe(400);
    const ours = createResponseId(SIGNING_KEY, { ...parts, call: new Uint8Array(16) });
    expect((await gateway.post(FEEDBACK, scorer, { response_id: ours, value: 1 })).status).toBe(
      200,
    );
  });
});

test('feedback while the store is down is refused with the time of the next try, and taken then under its id', async () => {
  const store = createMemoryObjectStore();
  let isDown = true;
  // As a local store says it whose folder is not writable: no bad request of whoever gives feedback.
  const rewards = createRewardWriter({
    ...store,
    put: (...put) =>
      isDown ? Promise.reject(new InvalidInputError('give this user access')) : store.put(...put),
  });
  const gateway = await createFixture({ rewards });
  const scorer = await gateway.key({ role: 'scorer' });
  const feedback = { session: 'live/desk/u', value: 1, id: 'mine' };
  const refused = await gateway.post(FEEDBACK, scorer, feedback);
  expect(refused).toMatchObject({ status: 503, body: { error: { code: 'unavailable' } } });
  expect(refused.headers.get('retry-after')).toBe('5');
  isDown = false;
  expect((await gateway.post(FEEDBACK, scorer, feedback)).status).toBe(200);
  expect((await gateway.post(FEEDBACK, scorer, feedback)).status).toBe(200);
  expect(await stored(store)).toHaveLength(1);
});

describe('the reward writer', () => {
  const record: FeedbackRecord = {
    ...{ id: 'k.1', trajectory: 't', decision: null, scorer: 'feedback', scorerVersion: '1' },
    ...{ value: 1, by: 'key:k', at: new Date(NOW).toISOString(), supersedes: null },
  };

  test('notices a repeat across midnight', async () => {
    const writer = createRewardWriter(createMemoryObjectStore());
    const before = { ...record, at: '2026-11-23T23:59:59.000Z' };
    const after = { ...record, at: '2026-11-24T00:00:01.000Z' };
    expect(await writer.write(before)).toEqual({ outcome: 'written', record: before });
    expect(await writer.write(after)).toEqual({ outcome: 'repeated', record: before });
    expect((await writer.write({ ...after, value: 0 })).outcome).toBe('conflict');
  });

  test('lets exactly one of many writers of one id write', async () => {
    const writer = createRewardWriter(createMemoryObjectStore());
    const outcomes = await Promise.all(
      Array.from({ length: 8 }, (_, i) => writer.write({ ...record, value: i })),
    );
    expect(outcomes.filter(({ outcome }) => outcome === 'written')).toHaveLength(1);
    expect(outcomes.filter(({ outcome }) => outcome === 'conflict')).toHaveLength(7);
  });
});
