import { chat, createFixture, NOW, OTHER } from './gateway-fixture';

describe('POST /v1/sessions', () => {
  test('gives a key that works in that session only, until it expires', async () => {
    let nowMs = NOW;
    const gateway = await createFixture({ now: () => nowMs });
    const runner = await gateway.key({ role: 'runner' });
    const opened = await gateway.post('/v1/sessions', runner, {
      ...{ agent: 'desk', session: 'mine', policy: 'support', checkpoint: OTHER },
      ...{ sampling: { temperature: 0 }, ttl_seconds: 60 },
    });
    expect(opened.status).toBe(201);
    expect(opened.headers.get('cache-control')).toBe('no-store');
    expect(opened.body).toMatchObject({
      object: 'session',
      id: 'session/desk/mine',
      expires_at: NOW / 1_000 + 60,
    });
    gateway.recorder.open('session/desk/mine');
    const key = String(opened.body['api_key']);
    const call = await gateway.post('/v1/chat/completions', key, chat());
    expect(call.body).toMatchObject({ model: `ratchet/support@${OTHER}` });
    expect(gateway.recorder.take('session/desk/mine').decisions).toMatchObject([
      { sampling: { temperature: 0 } },
    ]);
    nowMs += 60_000;
    expect((await gateway.post('/v1/chat/completions', key, chat())).status).toBe(401);
  });

  test.each([
    [{}, 'agent'],
    [{ agent: 'desk', checkpoint: OTHER }, 'policy'],
    [{ agent: 'desk', ttl_seconds: 0 }, 'ttl_seconds'],
    [{ agent: 'desk', ttl: 1 }, ''],
  ])('refuses %j, naming %s', async (body, param) => {
    const gateway = await createFixture();
    const runner = await gateway.key({ role: 'runner' });
    const reply = await gateway.post('/v1/sessions', runner, body);
    expect(reply.status).toBe(400);
    expect(reply.body.error?.param).toBe(param);
  });
});
