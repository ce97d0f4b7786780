import { chat, createFixture, NOW, OTHER } from './gateway-fixture';

describe('a session key in the path', () => {
  test('is as good as one in a header, whatever key the agent sends beside it', async () => {
    const gateway = await createFixture();
    const token = gateway.session();
    const path = `/s/${token}/v1/chat/completions`;
    for (const key of [null, 'dummy', 'rk-000000000000-x']) {
      const call = await gateway.post(path, key, chat());
      expect(call).toMatchObject({ status: 200, body: { model: `ratchet/support@${OTHER}` } });
    }
    expect((await gateway.get(`/s/${token}/v1/models`, null)).status).toBe(200);
    expect(gateway.recorder.take('run-1/0/task-1/0').decisions).toHaveLength(1); // one request, asked again
  });

  test('opens nothing that it would not open in a header', async () => {
    const gateway = await createFixture();
    const token = gateway.session();
    const feedback = { session: 's', value: 1 };
    expect((await gateway.post(`/s/${token}/v1/feedback`, null, feedback)).status).toBe(403);
    expect((await gateway.post(`/s/${token}/v1/sessions`, null, {})).status).toBe(403);
    const admin = await gateway.key({ role: 'admin' });
    expect((await gateway.post(`/s/${token}/v1/sessions`, admin, {})).status).toBe(403);
  });

  test.each([
    ['expired', (token: (claims: object) => string) => token({ expiresAt: NOW / 1_000 - 1 })],
    ['changed', (token: (claims: object) => string) => `${token({}).slice(0, -3)}AAA`],
    ['cut off', (token: (claims: object) => string) => token({}).slice(0, 40)],
  ])('that is %s is refused', async (_, make) => {
    const gateway = await createFixture();
    const token = make((claims) => gateway.session(claims));
    const call = await gateway.post(`/s/${token}/v1/chat/completions`, null, chat());
    expect(call.status).toBe(401);
    expect(JSON.stringify(call.body)).not.toContain(token);
  });

  test('cannot be a long-lived key: paths end up in the logs of proxies', async () => {
    const gateway = await createFixture();
    const agent = await gateway.key({ role: 'agent', agent: 'desk' });
    const call = await gateway.post(`/s/${agent}/v1/chat/completions`, null, chat());
    expect(call.status).toBe(401);
    expect(JSON.stringify(call.body)).not.toContain(agent);
  });

  test('is in no error and no log line, on whichever path', async () => {
    const gateway = await createFixture({
      policies: { serve: () => Promise.reject(new Error('broken')) } as never,
    });
    const token = gateway.session();
    const paths = ['', '/', '/v1', '/v1/', '/v1/nothing', '/v2/chat/completions', '/healthz'];
    for (const path of [...paths, '/v1/chat/completions', '//v1/chat/completions', '/x/v1/x']) {
      const reply = await gateway.post(`/s/${token}${path}`, null, chat());
      expect(reply.status).toBeGreaterThanOrEqual(path === '/v1/chat/completions' ? 500 : 404);
      expect(JSON.stringify(reply.body)).not.toContain(token.slice(4, 24));
    }
    expect(gateway.log).not.toEqual([]);
    expect(JSON.stringify(gateway.log)).not.toContain(token.slice(4, 24));
  });
});
