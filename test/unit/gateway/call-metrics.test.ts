import type { Answered } from '../../../src/gateway/call-observer';
import { createCallMetrics } from '../../../src/gateway/metrics/call-metrics';
import { toPrometheusText } from '../../../src/gateway/metrics/prometheus-text';
import { createSpoolRecorder } from '../../../src/gateway/recording/spool-recorder';
import { UpstreamError } from '../../../src/gateway/upstreams/upstream';
import { createFakeUpstreams } from '../../fakes/fake-upstreams';
import { createSpoolFixture, type SpoolFixture } from '../../helpers/spools';
import { chat, createFixture } from './gateway-fixture';

let spools: SpoolFixture;
beforeEach(async () => {
  spools = await createSpoolFixture();
});
afterEach(() => spools.remove());

const CONFIG = {
  upstreams: {
    main: { url: 'http://main.test/v1', prices: { there: { input: 2, output: 10, cacheRead: 1 } } },
  },
  models: { 'gpt-"5"': [{ upstream: 'main', model: 'there' }] },
};
const MODEL = 'gpt-"5"';
const USAGE = {
  ...{ prompt_tokens: 100, completion_tokens: 10, total_tokens: 110 },
  prompt_tokens_details: { cached_tokens: 40 },
};
const whole = {
  id: 'up-1',
  choices: [{ index: 0, message: { role: 'assistant', content: 'hi' }, finish_reason: 'stop' }],
  usage: USAGE,
};
const delta = (rest: object): string =>
  `data: ${JSON.stringify({ id: 'up-2', choices: [{ index: 0, finish_reason: null, ...rest }] })}\n\n`;
const streamed = [
  delta({ delta: { role: 'assistant', content: 'hi' } }),
  delta({ delta: {}, finish_reason: 'stop' }),
  `data: ${JSON.stringify({ id: 'up-2', choices: [], usage: USAGE })}\n\n`,
  'data: [DONE]\n\n',
];

/** A gateway with one upstream and one policy, whose live calls go into a spool; asked by the agent `desk`. */
async function open(maxBytes?: number) {
  const { spool } = spools.open(maxBytes === undefined ? {} : { maxBytes });
  const upstreams = createFakeUpstreams(CONFIG, {});
  const gateway = await createFixture({ upstreams, recorder: createSpoolRecorder({ spool }) });
  const key = await gateway.key({ role: 'agent', agent: 'desk' });
  const ask = (body: object): Promise<Response> =>
    Promise.resolve(
      gateway.app.request('/v1/chat/completions', {
        ...{ method: 'POST', headers: { authorization: `Bearer ${key}` } },
        body: JSON.stringify({ messages: [{ role: 'user', content: 'hi' }], ...body }),
      }),
    );
  /** The samples that are not 0, without what takes time. */
  const scrape = async (): Promise<string[]> => {
    const text = await (await gateway.app.request('/metrics')).text();
    return text
      .split('\n')
      .filter((line) => /^ratchet_gateway_(?!requests|unrecorded)/.test(line))
      .filter((line) => !/ 0$|_bucket|_sum/.test(line));
  };
  return { ...gateway, upstreams, spool, ask, scrape };
}

test('calls, tokens and cost are counted by agent and model, streamed or not', async () => {
  const gateway = await open();
  gateway.upstreams.answerJson(whole);
  await (await gateway.ask({ model: MODEL })).text();
  gateway.upstreams.answerEvents(streamed);
  await (await gateway.ask({ model: MODEL, stream: true })).text();
  await (await gateway.ask(chat())).text();
  const labels = 'agent="desk",model="gpt-\\"5\\""';
  const policy = 'agent="desk",model="ratchet/support"';
  expect(await gateway.scrape()).toEqual([
    `ratchet_gateway_calls_total{${labels},outcome="answered"} 2`,
    `ratchet_gateway_calls_total{${policy},outcome="answered"} 1`,
    `ratchet_gateway_recorded_total{${labels}} 2`,
    `ratchet_gateway_recorded_total{${policy}} 1`,
    'ratchet_gateway_call_seconds_count{model="gpt-\\"5\\""} 2',
    'ratchet_gateway_call_seconds_count{model="ratchet/support"} 1',
    'ratchet_gateway_first_byte_seconds_count{model="gpt-\\"5\\""} 1',
    `ratchet_gateway_tokens_total{${labels},kind="prompt"} 200`,
    `ratchet_gateway_tokens_total{${labels},kind="completion"} 20`,
    expect.stringMatching(
      /^ratchet_gateway_tokens_total\{.*ratchet\/support",kind="prompt"\} \d+$/,
    ),
    expect.stringMatching(/^ratchet_gateway_tokens_total\{.*support",kind="completion"\} \d+$/),
    `ratchet_gateway_cached_tokens_total{${labels}} 80`,
    // 60 fresh tokens at 2, 40 of the cache at 1, and 10 written at 10 per million: twice.
    `ratchet_gateway_cost_total{${labels}} 0.00052`,
  ]);
});

test('calls that get no answer are told apart: refused, failed, and whose client went', async () => {
  const gateway = await open();
  gateway.upstreams.answer({ status: 429, chunks: ['{"error":{}}'] });
  expect((await gateway.ask({ model: MODEL })).status).toBe(429);
  gateway.upstreams.answer(new UpstreamError('unreachable', 'nobody there'));
  expect((await gateway.ask({ model: MODEL })).status).toBe(502);
  gateway.upstreams.answerEvents(streamed.slice(0, 1));
  await (await gateway.ask({ model: MODEL, stream: true })).text();
  gateway.upstreams.answerEvents(streamed);
  await (await gateway.ask({ model: MODEL, stream: true })).body?.cancel();
  const lines = await gateway.scrape();
  const of = (outcome: string): unknown =>
    expect.stringMatching(new RegExp(`outcome="${outcome}"\\} ${outcome === 'failed' ? 2 : 1}$`));
  expect(lines.filter((line) => line.includes('calls_total'))).toEqual([
    of('refused'),
    of('failed'),
    of('gone'),
  ]);
  expect(lines.filter((line) => /tokens|cost|recorded|streams_open/.test(line))).toEqual([]);
});

test('what agents call their models makes no series: unknown names share one', async () => {
  const gateway = await open();
  for (const model of ['no-such', 'nor-this', 'ratchet/nobody']) {
    expect((await gateway.ask({ model })).status).toBe(404);
  }
  expect(await gateway.scrape()).toEqual([
    'ratchet_gateway_calls_total{agent="desk",model="other",outcome="refused"} 3',
  ]);
});

test('an answer that could not be recorded is answered and not recorded, and its tokens are counted', async () => {
  const gateway = await open(1);
  await gateway.spool.append({ text: 'x'.repeat(10), opens: 'a' }).catch(() => undefined);
  gateway.upstreams.answerJson(whole);
  const answer = await gateway.ask({ model: MODEL });
  expect([answer.status, answer.headers.get('x-ratchet-recorded')]).toEqual([200, 'false']);
  const lines = await gateway.scrape();
  expect(lines.join('\n')).toMatch(/outcome="answered"\} 1/);
  expect(lines.join('\n')).toMatch(/kind="prompt"\} 100/);
  expect(lines.join('\n')).not.toMatch(/recorded_total/);
});

test('a stream is open from its first bytes to its end', async () => {
  let now = 0;
  const { begin, metrics } = createCallMetrics({ clock: () => now });
  const call = begin();
  call.called('desk', 'm', 's');
  now = 700;
  call.streams();
  expect(toPrometheusText(metrics())).toMatch(/^ratchet_gateway_streams_open 1$/m);
  now = 3_000;
  call.ended(200);
  const text = toPrometheusText(metrics());
  for (const line of [
    'ratchet_gateway_streams_open 0',
    'ratchet_gateway_first_byte_seconds_bucket{model="m",le="0.5"} 0',
    'ratchet_gateway_first_byte_seconds_bucket{model="m",le="1"} 1',
    'ratchet_gateway_call_seconds_bucket{model="m",le="2.5"} 0',
    'ratchet_gateway_call_seconds_bucket{model="m",le="5"} 1',
    'ratchet_gateway_call_seconds_bucket{model="m",le="+Inf"} 1',
    'ratchet_gateway_call_seconds_sum{model="m"} 3',
  ]) {
    expect(text.split('\n')).toContain(line);
  }
});

test('agents beyond the first two hundred share a name', () => {
  const { begin, metrics } = createCallMetrics();
  for (let i = 0; i < 1_000; i++) {
    const call = begin();
    call.called(`agent-${i}`, 'm', 's');
    call.decided({ usage: null } as Answered, true);
    call.ended(200);
  }
  const text = toPrometheusText(metrics());
  expect(text).toContain('ratchet_gateway_recorded_total{agent="agent-199",model="m"} 1\n');
  expect(text).toContain('ratchet_gateway_recorded_total{agent="other",model="m"} 800\n');
});
