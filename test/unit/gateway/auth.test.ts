import { mintSessionToken } from '../../../src/gateway/keys/session-token';
import { revokeApiKey } from '../../../src/gateway/keys/api-keys';
import { chat, claimsOf, createFixture, NOW, SIGNING_KEY } from './gateway-fixture';

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
