import { createFakeUpstreams } from '../../../fakes/fake-upstreams';
import { createFixture } from '../gateway-fixture';

async function open() {
  const upstreams = createFakeUpstreams({
    upstreams: { a: { url: 'http://a.ex/v1' }, b: { url: 'http://b.ex/v1' } },
    models: { m: [{ upstream: 'a' }], n: [{ upstream: 'a' }, { upstream: 'b' }] },
    breaker: { failures: 2, open: '1h' },
  });
  upstreams.always('a', () => ({ status: 500, chunks: ['{}'] }));
  const gateway = await createFixture({ upstreams });
  const token = gateway.session();
  const ask = (): Promise<unknown> =>
    gateway.post('/v1/chat/completions', token, {
      ...{ model: 'm', messages: [{ role: 'user', content: 'hi' }] },
    });
  await ask();
  return { gateway, ask };
}

test('an admin sees how each upstream is, and what it answers for', async () => {
  const { gateway, ask } = await open();
  const key = await gateway.key({ role: 'admin' });
  expect((await gateway.get('/v1/upstreams', key)).body['data']).toEqual([
    {
      ...{ id: 'a', object: 'upstream', models: ['m', 'n'], requests: 1, retries: 0 },
      ...{ paused: null, running: 0 },
      ...{ errors: { status_500: 1 } },
      breaker: { state: 'closed', failures_in_a_row: 1, open_until: null },
    },
    expect.objectContaining({ id: 'b', models: ['n'], requests: 0, errors: {} }),
  ]);
  await ask();
  const { data } = (await gateway.get('/v1/upstreams', key)).body as {
    data: { breaker: { state: string; open_until: string } }[];
  };
  expect(data[0]?.breaker.state).toBe('open');
  expect(Date.parse(data[0]?.breaker.open_until ?? '')).toBeGreaterThan(Date.now() + 100_000);
});

test('nobody else does', async () => {
  const { gateway } = await open();
  const key = await gateway.key({ role: 'agent', agent: 'desk' });
  expect((await gateway.get('/v1/upstreams', key)).status).toBe(403);
});

test('the metrics count errors by upstream and kind, and an upstream that is down leaves the gateway ready', async () => {
  const { gateway, ask } = await open();
  await ask();
  const text = await (await gateway.app.request('/metrics')).text();
  for (const line of [
    'ratchet_upstream_requests_total{upstream="a"} 2',
    'ratchet_upstream_retries_total{upstream="a"} 0',
    'ratchet_upstream_errors_total{upstream="a",fault="status_500"} 2',
    'ratchet_upstream_breaker_state{upstream="a"} 2',
    'ratchet_upstream_breaker_state{upstream="b"} 0',
    'ratchet_upstream_retries_denied_total 0',
  ]) {
    expect(text.split('\n')).toContain(line);
  }
  expect((await gateway.get('/readyz', null)).status).toBe(200);
});
