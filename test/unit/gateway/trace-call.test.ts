import type { Attribute, Tracer } from '../../../src/ports/tracer';
import { createFakeUpstreams } from '../../fakes/fake-upstreams';
import { chat, createFixture } from './gateway-fixture';

const CONFIG = {
  upstreams: { main: { url: 'http://main.test/v1', prices: { there: { input: 2, output: 10 } } } },
  models: { m: [{ upstream: 'main', model: 'there' }] },
};
const whole = {
  id: 'up-1',
  choices: [
    { index: 0, message: { role: 'assistant', content: 'the answer' }, finish_reason: 'stop' },
  ],
  usage: { prompt_tokens: 100, completion_tokens: 10, total_tokens: 110 },
};
const PARENT = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';

interface FakeSpan {
  name: string;
  readonly parent: string | undefined;
  readonly attributes: Record<string, Attribute>;
  error: string | null | undefined;
  ends: number;
}

async function open() {
  const spans: FakeSpan[] = [];
  const tracer: Tracer = {
    start(name, header) {
      const parent = header('traceparent');
      const span: FakeSpan = { name, parent, attributes: {}, error: undefined, ends: 0 };
      spans.push(span);
      return {
        headers: { traceparent: `of-span-${spans.length}` },
        rename: (to) => void (span.name = to),
        set: (attributes) => void Object.assign(span.attributes, attributes),
        end(error = undefined) {
          span.error = error ?? null;
          span.ends++;
        },
      };
    },
    close: async () => undefined,
  };
  const upstreams = createFakeUpstreams(CONFIG);
  const gateway = await createFixture({ upstreams, tracer });
  const key = await gateway.key({ role: 'agent', agent: 'desk' });
  const ask = async (body: object, headers: Record<string, string> = {}): Promise<Response> =>
    gateway.app.request('/v1/chat/completions', {
      ...{ method: 'POST', headers: { authorization: `Bearer ${key}`, ...headers } },
      body: JSON.stringify({ messages: [{ role: 'user', content: 'a secret' }], ...body }),
    });
  return { ...gateway, upstreams, spans, ask };
}

test('a call is one span with what was asked, answered and used, and the decision’s id', async () => {
  const gateway = await open();
  gateway.upstreams.answerJson(whole);
  gateway.recorder.open('live/desk/nine');
  const answer = await gateway.ask(
    { model: 'm', user: 'alice' },
    { 'x-ratchet-session': 'nine', traceparent: PARENT },
  );
  expect(gateway.spans).toEqual([
    {
      ...{ name: 'chat m', parent: PARENT, error: null, ends: 1 },
      attributes: {
        'gen_ai.operation.name': 'chat',
        'gen_ai.provider.name': 'openai',
        'gen_ai.request.model': 'm',
        'gen_ai.agent.name': 'desk',
        'gen_ai.conversation.id': 'live/desk/nine',
        'gen_ai.response.model': 'there',
        'gen_ai.response.id': 'up-1',
        'gen_ai.response.finish_reasons': ['stop'],
        'gen_ai.usage.input_tokens': 100,
        'gen_ai.usage.output_tokens': 10,
        'http.response.status_code': 200,
        'ratchet.protocol': 'chat',
        'ratchet.request.id': answer.headers.get('x-request-id'),
        'ratchet.upstream': 'main',
        'ratchet.cost': 0.0003,
        'ratchet.recorded': true,
        'ratchet.decision.id': expect.stringMatching(/^chatcmpl-/) as string,
      },
    },
  ]);
  // No content, and nobody's name.
  expect(JSON.stringify(gateway.spans)).not.toMatch(/secret|the answer|alice/);
});

test('the upstream is told of the span, and not of the client’s own', async () => {
  const gateway = await open();
  gateway.upstreams.answerJson(whole);
  await gateway.ask({ model: 'm' }, { traceparent: PARENT });
  expect(gateway.upstreams.requests[0]?.headers).toMatchObject({ traceparent: 'of-span-1' });
});

test('without a tracer the client’s trace ends at the gateway', async () => {
  const upstreams = createFakeUpstreams(CONFIG);
  const gateway = await createFixture({ upstreams });
  upstreams.answerJson(whole);
  const body = { model: 'm', messages: [{ role: 'user', content: 'hi' }] };
  await gateway.post('/v1/chat/completions', gateway.session(), body, { traceparent: PARENT });
  expect(upstreams.requests[0]?.headers).not.toHaveProperty('traceparent');
});

test('a policy’s answer has its policy, checkpoint and arm', async () => {
  const gateway = await open();
  const answer = (await (await gateway.ask(chat())).json()) as { id: string };
  expect(gateway.spans).toMatchObject([
    {
      name: 'chat ratchet/support',
      attributes: {
        'gen_ai.provider.name': 'ratchet',
        'gen_ai.response.id': answer.id,
        'ratchet.decision.id': answer.id,
        'ratchet.policy': 'support',
        'ratchet.checkpoint': expect.stringMatching(/^sha256:/) as string,
        'ratchet.arm': expect.any(String) as string,
      },
    },
  ]);
});

test('a stream’s span ends with the stream, and says when it began', async () => {
  const gateway = await open();
  gateway.upstreams.answerEvents([
    'data: {"id":"up-2","choices":[{"index":0,"delta":{"content":"hi"},"finish_reason":"stop"}]}\n\n',
    'data: [DONE]\n\n',
  ]);
  const answer = await gateway.ask({ model: 'm', stream: true });
  expect(gateway.spans[0]?.ends).toBe(0);
  await answer.text();
  expect(gateway.spans).toMatchObject([
    {
      ends: 1,
      attributes: {
        'gen_ai.request.stream': true,
        'gen_ai.response.time_to_first_chunk': expect.any(Number) as number,
      },
    },
  ]);
});

test.each([
  ['a body that nobody can read', {}, 'chat', 400, null],
  ['a model that there is not, which is not named,', { model: 'x' }, 'chat', 404, null],
  ['an upstream at fault', { model: 'm' }, 'chat m', 502, 'answered 502'],
])('%s ends its span with the status', async (_, body, name, status, error) => {
  const gateway = await open();
  gateway.upstreams.answerJson('<html>');
  expect((await gateway.ask(body)).status).toBe(status);
  const attributes = { 'http.response.status_code': status, 'error.type': String(status) };
  expect(gateway.spans).toMatchObject([{ name, error, ends: 1, attributes }]);
});
