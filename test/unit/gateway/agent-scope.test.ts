import { createResponseId } from '../../../src/gateway/keys/response-id';
import type { Fixture } from './gateway-fixture';
import { chat, createFixture, SIGNING_KEY } from './gateway-fixture';

const CALLS = '/v1/chat/completions';
const NAMED: unknown = expect.stringContaining('x-ratchet-agent to name one of desk, shop');
const FEEDBACK = '/v1/feedback';

function responseOf(agent: string, session: string): string {
  const call = new Uint8Array(16).fill(7);
  return createResponseId(SIGNING_KEY, { agent, session, isDecision: true, call });
}

describe('a key of several agents', () => {
  let gateway: Fixture;
  let key: string;
  beforeEach(async () => {
    gateway = await createFixture();
    key = await gateway.key({ role: 'agent', agents: ['desk', 'shop'] });
  });

  test('calls models for the one that the request names', async () => {
    const headers = { 'x-ratchet-agent': 'shop', 'x-ratchet-session': 's' };
    const { status, body } = await gateway.post(CALLS, key, chat(), headers);
    expect(status).toBe(200);
    const feedback = await gateway.post(FEEDBACK, key, { response_id: body.id, value: 1 });
    expect(feedback).toMatchObject({ status: 200, body: { trajectory: 'live/shop/s' } });
  });

  test('is asked which one where the request names none', async () => {
    for (const [path, body] of [
      [CALLS, chat()],
      [FEEDBACK, { session: 's', value: 1 }],
    ] as const) {
      expect(await gateway.post(path, key, body)).toMatchObject({
        status: 400,
        body: { error: { code: 'agent_not_named', message: NAMED } },
      });
    }
  });

  test('opens nothing of another agent', async () => {
    const headers = { 'x-ratchet-agent': 'other' };
    const refused = { status: 403, body: { error: { code: 'agent_out_of_scope' } } };
    expect(await gateway.post(CALLS, key, chat(), headers)).toMatchObject(refused);
    const body = { session: 's', value: 1 };
    expect(await gateway.post(FEEDBACK, key, body, headers)).toMatchObject(refused);
    const theirs = { response_id: responseOf('other', 'live/other/s'), value: 1 };
    expect((await gateway.post(FEEDBACK, key, theirs)).status).toBe(403);
    const rollout = { response_id: responseOf('desk', 'run-1/0/task/0'), value: 1 };
    expect((await gateway.post(FEEDBACK, key, rollout)).status).toBe(403);
  });
});

test('a key of one agent may name it, and no other', async () => {
  const gateway = await createFixture();
  const key = await gateway.key({ role: 'agent', agent: 'desk' });
  const status = async (agent: string): Promise<number> =>
    (await gateway.post(CALLS, key, chat(), { 'x-ratchet-agent': agent })).status;
  expect([await status('desk'), await status('shop')]).toEqual([200, 403]);
});

test('a runner that is limited to agents opens sessions for those only', async () => {
  const gateway = await createFixture();
  const key = await gateway.key({ role: 'runner', agents: ['desk'] });
  const status = async (agent: string): Promise<number> =>
    (await gateway.post('/v1/sessions', key, { agent })).status;
  expect([await status('desk'), await status('shop')]).toEqual([201, 403]);
});

test('a scorer that is limited to agents rewards what says that it is theirs', async () => {
  const gateway = await createFixture();
  const key = await gateway.key({ role: 'scorer', agents: ['desk'] });
  const status = async (target: object): Promise<number> =>
    (await gateway.post(FEEDBACK, key, { ...target, value: 1 })).status;
  for (const session of ['live/desk/s', 'session/desk/s']) {
    expect(await status({ session })).toBe(200);
  }
  for (const session of ['live/shop/s', 'session/shop/live/desk/', 'run-1/0/task/0', 'live/desk']) {
    expect(await status({ session })).toBe(403);
  }
  expect(await status({ response_id: responseOf('desk', 'run-1/0/task/0') })).toBe(200);
  expect(await status({ response_id: responseOf('shop', 'run-1/0/task/0') })).toBe(403);
});
