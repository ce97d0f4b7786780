import { createSpoolDrain } from '../../../src/gateway/recording/drain-spool';
import { createSpoolRecorder } from '../../../src/gateway/recording/spool-recorder';
import { createMemoryObjectStore } from '../../fakes/memory-object-store';
import type { SpoolFixture } from '../../helpers/spools';
import { createSpoolFixture } from '../../helpers/spools';
import { chat, createFixture } from './gateway-fixture';

let spools: SpoolFixture;
beforeEach(async () => {
  spools = await createSpoolFixture();
});
afterEach(() => spools.remove());

/** A gateway whose live calls go into a spool. */
async function spooling(maxBytes?: number) {
  const { spool } = spools.open(maxBytes === undefined ? {} : { maxBytes });
  const drain = createSpoolDrain({ spool, store: createMemoryObjectStore() });
  const gateway = await createFixture({
    recorder: createSpoolRecorder({ spool }),
    spoolStatus: () => ({ spool: spool.snapshot(), drain: drain.snapshot() }),
  });
  const key = await gateway.key({ role: 'agent', agent: 'desk' });
  const scrape = async (): Promise<string> => (await gateway.app.request('/metrics')).text();
  return { gateway, key, spool, drain, scrape };
}

describe('the metrics', () => {
  test('count calls by status, entries by group and what is drained', async () => {
    const { gateway, key, spool, drain, scrape } = await spooling();
    await gateway.post('/v1/chat/completions', key, chat());
    await gateway.post('/v1/chat/completions', key, '{');
    await gateway.post('/v1/chat/completions', 'nobody', chat());
    const text = await scrape();
    expect(text).toContain('# TYPE ratchet_gateway_requests_total counter\n');
    for (const line of [
      'ratchet_gateway_requests_total{status="200"} 1',
      'ratchet_gateway_requests_total{status="400"} 1',
      'ratchet_gateway_requests_total{status="401"} 1',
      'ratchet_gateway_unrecorded_total 0',
      'ratchet_spool_entries 2',
      'ratchet_spool_appended_total 2',
      'ratchet_spool_fsyncs_total 2',
      'ratchet_spool_group_entries_bucket{le="1"} 2',
      'ratchet_spool_group_entries_bucket{le="+Inf"} 2',
      'ratchet_spool_group_entries_sum 2',
      'ratchet_spool_group_entries_count 2',
      'ratchet_drain_decisions_total 0',
    ]) {
      expect(text.split('\n')).toContain(line);
    }
    expect(text).toMatch(/^ratchet_spool_bytes [1-9]/m);
    await spool.seal('now');
    await drain.drain();
    const after = await scrape();
    expect(after).toMatch(/^ratchet_drain_decisions_total 1$/m);
    expect(after).toMatch(/^ratchet_spool_entries 0$/m);
    await drain.close(1_000);
  });

  test('are in Prometheus’s text format, line by line, and name no user and no session', async () => {
    const { gateway, key, drain, scrape } = await spooling();
    await gateway.post('/v1/chat/completions', key, chat({ user: 'alice' }));
    const text = await scrape();
    for (const line of text.trimEnd().split('\n')) {
      expect(line).toMatch(
        /^(# (HELP|TYPE) ratchet_[a-z_]+ .+|ratchet_[a-z_]+(\{[a-z]+="[^"\\]*"(,[a-z]+="[^"\\]*")*\})? [0-9.e+-]+)$/,
      );
    }
    expect(text).not.toMatch(/alice|live\//);
    const reply = await gateway.app.request('/metrics');
    expect(reply.headers.get('content-type')).toMatch(/^text\/plain; version=0\.0\.4/);
    await drain.close(1_000);
  });

  test('are there without a spool', async () => {
    const { app } = await createFixture();
    const text = await (await app.request('/metrics')).text();
    expect(text).toContain('ratchet_gateway_unrecorded_total 0');
    expect(text).not.toContain('spool');
  });
});

test('a gateway whose spool is full stays ready, says so, and answers calls without recording them', async () => {
  const { gateway, key, drain } = await spooling(100);
  const ready = async () => (await gateway.get('/readyz', null)).body;
  expect(await ready()).toEqual({ status: 'ready', spool: 'ok', drainFailuresInARow: 0 });
  const first = await gateway.post('/v1/chat/completions', key, chat());
  expect(first.headers.get('x-ratchet-recorded')).toBeNull();
  const second = await gateway.post('/v1/chat/completions', key, chat());
  expect([second.status, second.headers.get('x-ratchet-recorded')]).toEqual([200, 'false']);
  expect(await ready()).toMatchObject({ status: 'ready', spool: 'full' });
  expect(gateway.log).toMatchObject([{ error: expect.stringMatching(/spool is full/) as unknown }]);
  await drain.close(1_000);
});
