import { mintSessionToken } from '../../../src/gateway/keys/session-token';
import type { Role } from '../../../src/gateway/keys/api-keys';
import { revokeApiKey } from '../../../src/gateway/keys/api-keys';
import type { Fixture } from './gateway-fixture';
import { chat, claimsOf, createFixture, NOW, SIGNING_KEY } from './gateway-fixture';

const ROLES: readonly Role[] = ['agent', 'runner', 'scorer', 'approver', 'admin'];
const EVERYONE = [...ROLES, 'session'] as const;

async function keyOf(gateway: Fixture, who: Role | 'session'): Promise<string> {
  if (who === 'session') return gateway.session();
  return gateway.key({ role: who, agent: who === 'agent' ? 'desk' : null });
}

describe('who may do what', () => {
  const admitted: [string, string, object | null, readonly (Role | 'session')[]][] = [
    ['POST', '/v1/chat/completions', chat(), ['agent', 'session']],
    ['GET', '/v1/models', null, EVERYONE],
    ['POST', '/v1/sessions', { agent: 'desk' }, ['runner', 'admin']],
    ['POST', '/v1/feedback', { session: 's', value: 1 }, ['agent', 'scorer', 'admin']],
  ];
  test.each(admitted)('%s %s', async (method, path, body, expected) => {
    const gateway = await createFixture();
    const got: string[] = [];
    for (const who of EVERYONE) {
      const key = await keyOf(gateway, who);
      const { status, body: answer } =
        method === 'POST' ? await gateway.post(path, key, body) : await gateway.get(path, key);
      if (status < 300) got.push(who);
      else {
        expect(status).toBe(403);
        expect(answer.error).toMatchObject({ type: 'permission_error', code: 'insufficient_role' });
      }
    }
    expect(got.sort()).toEqual([...expected].sort());
    const anonymous =
      method === 'POST' ? await gateway.post(path, null, body) : await gateway.get(path, null);
    expect(anonymous.status).toBe(401);
  });

  test('health needs no key', async () => {
    const gateway = await createFixture();
    expect(await gateway.get('/healthz', null)).toMatchObject({ status: 200 });
    expect(await gateway.get('/readyz', null)).toMatchObject({ status: 200 });
  });
});

describe('keys that are refused', () => {
  const expired = mintSessionToken(SIGNING_KEY, claimsOf({ expiresAt: NOW / 1_000 - 1 }));
  const forged = mintSessionToken(new Uint8Array(32).fill(9), claimsOf());
  test.each([
    ['no key', null, /no API key was given/],
    ['an OpenAI key', 'sk-abcdefgh', /malformed/],
    ['a malformed session key', 'rks-abc', /malformed/],
    ['a forged session key', forged, /signature .* does not match/],
    ['an expired session key', expired, /expired at 2026-11-23T11:59:59/],
    ['an unknown key', `rk-${'0'.repeat(12)}-${'A'.repeat(43)}`, /not known/],
  ])('%s', async (_, key, message) => {
    const gateway = await createFixture();
    const reply = await gateway.post('/v1/chat/completions', key, chat());
    expect(reply.status).toBe(401);
    expect(reply.headers.get('www-authenticate')).toBe('Bearer');
    expect(reply.body.error?.message).toMatch(message);
    expect(reply.body.error?.type).toBe('authentication_error');
    if (key !== null) expect(JSON.stringify([reply.body, gateway.log])).not.toContain(key);
    expect(gateway.policies.calls).toEqual([]);
  });

  test('a revoked key', async () => {
    const gateway = await createFixture();
    const key = await gateway.key({ role: 'agent', agent: 'desk' });
    await revokeApiKey(gateway.keys, key.slice(3, 15));
    const reply = await gateway.post('/v1/chat/completions', key, chat());
    expect(reply).toMatchObject({ status: 401, body: { error: { code: 'revoked_api_key' } } });
  });

  test('every long-lived key, where only sessions are served', async () => {
    const gateway = await createFixture({ apiKeys: null });
    const key = await gateway.key({ role: 'admin' });
    expect((await gateway.get('/v1/models', key)).status).toBe(401);
    expect((await gateway.get('/v1/models', gateway.session())).status).toBe(200);
  });

  test('feedback is no route where it is not offered', async () => {
    const gateway = await createFixture({ rewards: null });
    const key = await gateway.key({ role: 'admin' });
    expect((await gateway.post('/v1/feedback', key, {})).status).toBe(404);
  });
});

describe('a session key that was accepted before', () => {
  test('is refused once it has expired', async () => {
    let nowMs = NOW;
    const gateway = await createFixture({ now: () => nowMs });
    const key = gateway.session({ expiresAt: NOW / 1_000 + 60 });
    const status = async (): Promise<number> =>
      (await gateway.post('/v1/chat/completions', key, chat())).status;
    expect(await status()).toBe(200);
    nowMs += 59_999;
    expect(await status()).toBe(200);
    nowMs += 1;
    expect(await status()).toBe(401);
  });

  test('opens nothing to a key that differs from it, signature or claims', async () => {
    const gateway = await createFixture();
    const key = gateway.session();
    expect((await gateway.post('/v1/chat/completions', key, chat())).status).toBe(200);
    const other = gateway.session({ session: 'run-1/0/task-2/0' });
    const swapped = `${key.slice(0, key.indexOf('.'))}${other.slice(other.indexOf('.'))}`;
    for (const forged of [swapped, `${key}A`, key.slice(0, -1)]) {
      expect((await gateway.post('/v1/chat/completions', forged, chat())).status).toBe(401);
    }
  });
});

test('x-api-key is as good as a bearer token, whose scheme has no case', async () => {
  const gateway = await createFixture();
  const key = await gateway.key({ role: 'agent', agent: 'desk' });
  for (const headers of [{ 'x-api-key': key }, { authorization: `bearer ${key}` }]) {
    expect((await gateway.post('/v1/chat/completions', null, chat(), headers)).status).toBe(200);
  }
});
