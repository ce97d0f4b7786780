import { spawn, type ChildProcessByStdio } from 'node:child_process';
import { once } from 'node:events';
import type { Readable, Writable } from 'node:stream';
import { gzipSync } from 'node:zlib';
import Anthropic from '@anthropic-ai/sdk';
import OpenAI from 'openai';
import {
  startUpstreamDouble,
  type SeenRequest,
  type UpstreamDouble,
} from '../../bench/support/upstream-double/start';
import { distPath } from '../../src/adapters/dist-path';

// The double is what says whether a gateway hands requests on unharmed: it must let pass what providers do, and nothing else.
let double: UpstreamDouble;
beforeAll(async () => {
  double = await startUpstreamDouble({ retryAfterSeconds: 3 });
});
afterAll(() => double.close());
beforeEach(() => double.forget());

const AUTH = { authorization: 'Bearer double-key' };
const CLAUDE = { ...AUTH, 'anthropic-version': '2023-06-01' };

async function post(path: string, body: unknown, headers: Record<string, string> = AUTH) {
  const response = await fetch(double.url + path, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body:
      typeof body === 'string' || body instanceof Uint8Array
        ? (body as string)
        : JSON.stringify(body),
  });
  return { response, text: await response.text() };
}

const user = { role: 'user', content: 'hi' };
const call = { id: 'c1', type: 'function', function: { name: 'f', arguments: '{}' } };
const asks = { role: 'assistant', content: null, tool_calls: [call] };
const tells = { role: 'tool', tool_call_id: 'c1', content: 'done' };
const weather = {
  name: 'get_weather',
  parameters: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] },
};
const uses = { role: 'assistant', content: [{ type: 'tool_use', id: 't1', name: 'f', input: {} }] };
const result = { role: 'user', content: [{ type: 'tool_result', tool_use_id: 't1' }] };
const calls = { type: 'function_call', call_id: 'c1', name: 'f', arguments: '{}' };
const output = { type: 'function_call_output', call_id: 'c1', output: 'done' };

const chat = (rest: object): [string, object] => [
  '/chat/completions',
  { model: 'gpt-4o', messages: [user], ...rest },
];
const responses = (rest: object): [string, object] => [
  '/responses',
  { model: 'gpt-4o', input: 'hi', ...rest },
];
const messages = (rest: object): [string, object] => [
  '/messages',
  { model: 'claude-sonnet-5', max_tokens: 99, messages: [user], ...rest },
];

test.each([
  ['an unknown member', ...chat({ colour: 'red' }), /unknown parameter: 'colour'/],
  ['an unknown member inside', ...chat({ messages: [{ ...user, mood: 1 }] }), /messages\[0\].mood/],
  ['token ids of a model that has none', ...chat({ return_token_ids: true }), /return_token_ids/],
  ['no messages', ...chat({ messages: [] }), /messages/],
  ['a result without its call', ...chat({ messages: [user, tells] }), /must follow/],
  ['a call without its result', ...chat({ messages: [user, asks, user] }), /c1 has none/],
  ['a call at the end', ...chat({ messages: [user, asks] }), /c1 has none/],
  ['stream options without a stream', ...chat({ stream_options: {} }), /stream_options/],
  ['JSON without a word of it', ...chat({ response_format: { type: 'json_object' } }), /json/],
  ['top_logprobs alone', ...chat({ top_logprobs: 2 }), /top_logprobs/],
  ['a choice among no tools', ...chat({ tool_choice: 'auto' }), /tool_choice/],
  ['an output without its call', ...responses({ input: [output] }), /c1 has none/],
  ['a call without its output', ...responses({ input: [calls] }), /c1 has none/],
  ['a response that it never gave', ...responses({ previous_response_id: 'resp_1' }), /resp_1/],
  ['an unknown member of Responses', ...responses({ messages: [] }), /unknown parameter/],
  ['no text', '/embeddings', { model: 'text-embedding-3-small', input: '' }, /input/],
])('refuses %s, in OpenAI’s shape', async (_, path, body, expected) => {
  const { response, text } = await post(path, body);
  expect(response.status).toBe(400);
  const { error } = JSON.parse(text) as { error: { message: string } };
  expect(error).toMatchObject({
    type: 'invalid_request_error',
    message: expect.any(String) as string,
  });
  expect(error.message).toMatch(expected);
  expect(Object.keys(error)).toEqual(['message', 'type', 'param', 'code']);
});

test.each([
  ['no version', ...messages({}), AUTH, /anthropic-version/],
  [
    'a version that there is not',
    ...messages({}),
    { ...AUTH, 'anthropic-version': '1' },
    /version/,
  ],
  ['an unknown member', ...messages({ n: 2 }), CLAUDE, /unknown parameter: 'n'/],
  ['a use without its result', ...messages({ messages: [user, uses, user] }), CLAUDE, /t1/],
  ['a result without its use', ...messages({ messages: [user, result] }), CLAUDE, /t1/],
  ['an answer at the head', ...messages({ messages: [uses, result] }), CLAUDE, /role user/],
  ['a thread without its beta', ...messages({ thread: { type: 'create' } }), CLAUDE, /beta/],
])('refuses %s, in Anthropic’s shape', async (_, path, body, headers, expected) => {
  const { response, text } = await post(path, body, headers);
  expect(response.status).toBe(400);
  expect(JSON.parse(text)).toMatchObject({
    type: 'error',
    error: { type: 'invalid_request_error', message: expect.stringMatching(expected) as string },
    request_id: response.headers.get('request-id'),
  });
});

test('refuses a wrong key, an unknown model, path and encoding', async () => {
  const [path, body] = chat({});
  expect((await post(path, body, { authorization: 'Bearer no' })).response.status).toBe(401);
  expect((await post(...chat({ model: 'gpt-1' }))).response.status).toBe(404);
  expect((await post('/completions', body)).response.status).toBe(404);
  const packed = { ...AUTH, 'content-encoding': 'gzip' };
  expect((await post(path, body, packed)).response.status).toBe(400); // says gzip, and is not
  expect((await post(path, gzipSync(JSON.stringify(body)), packed)).response.status).toBe(200);
  const odd = { ...AUTH, 'content-encoding': 'br' };
  expect((await post(path, body, odd)).response.status).toBe(415);
});

test('takes whole tool turns of all three protocols', async () => {
  const turns: [string, object, Record<string, string>][] = [
    [...chat({ messages: [user, asks, tells] }), AUTH],
    [...responses({ input: [user, calls, output] }), AUTH],
    [...messages({ messages: [user, uses, result] }), CLAUDE],
  ];
  for (const [path, body, headers] of turns) {
    expect((await post(path, body, headers)).response.status).toBe(200);
  }
  expect(double.requests.map(({ path }) => path)).toEqual(turns.map(([path]) => `/v1${path}`));
});

describe('the provider’s own clients', () => {
  const openai = (): OpenAI =>
    new OpenAI({ baseURL: double.url, apiKey: 'double-key', maxRetries: 0 });
  const anthropic = (): Anthropic =>
    new Anthropic({ baseURL: double.url.slice(0, -3), apiKey: 'double-key', maxRetries: 0 });
  const ask = {
    model: 'gpt-4o',
    messages: [{ role: 'user' as const, content: 'the weather in Oslo, please' }],
  };
  const tools = [{ type: 'function' as const, function: weather }];

  test('read chat completions, whole and streamed, with tools, choices, JSON and logprobs', async () => {
    const { completions } = openai().chat;
    const whole = await completions.create({ ...ask, n: 2, logprobs: true });
    const stream = completions.stream({ ...ask, n: 2, logprobs: true });
    const streamed = await stream.finalChatCompletion();
    const texts = whole.choices.map(({ message }) => message.content);
    expect(texts).toEqual([
      'You said: the weather in Oslo, please ñ 日本 🚲',
      'You said: the weather in Oslo, please ñ 日本 🚲 (1)',
    ]);
    expect(streamed.choices.map(({ message }) => message.content)).toEqual(texts);
    const sampled = whole.choices[0]?.logprobs?.content ?? [];
    expect(sampled.map(({ token }) => token).join('')).toBe(texts[0]);
    expect(streamed.choices[0]?.logprobs?.content).toEqual(sampled);

    const called = await completions.create({ ...ask, tools });
    const calledInStream = await completions.stream({ ...ask, tools }).finalChatCompletion();
    for (const { choices } of [called, calledInStream]) {
      expect(choices[0]).toMatchObject({
        finish_reason: 'tool_calls',
        message: {
          content: null,
          tool_calls: [{ function: { name: 'get_weather', arguments: '{"city":"Oslo"}' } }],
        },
      });
    }
    const format = { type: 'json_object' as const };
    const json = await completions.create({
      ...{ model: 'gpt-4o', response_format: format },
      messages: [{ role: 'user', content: 'in json' }],
    });
    expect(JSON.parse(json.choices[0]?.message.content ?? '')).toHaveProperty('answer');
  });

  test('read Responses, whole and streamed, and go on from one', async () => {
    const { responses: api } = openai();
    const asked = { model: 'gpt-4o', input: 'the weather in Oslo' };
    const flat = [{ type: 'function' as const, strict: false, ...weather }];
    const called = await api.create({ ...asked, tools: flat });
    const [item] = called.output;
    if (item?.type !== 'function_call') throw new Error('no call');
    const streamed = await api.stream({ ...asked, tools: flat }).finalResponse();
    expect(streamed.output).toMatchObject([{ name: item.name, arguments: item.arguments }]);
    const ended = await api.create({
      ...{ model: 'gpt-4o', previous_response_id: called.id },
      input: [{ type: 'function_call_output', call_id: item.call_id, output: 'rain' }],
    });
    expect(ended.output_text).toBe('The tools said: rain ñ 日本 🚲');
  });

  test('read Messages, whole and streamed, with tools and threads', async () => {
    const { messages: api } = anthropic();
    const asked = { model: 'claude-sonnet-5', max_tokens: 100, messages: ask.messages };
    const whole = await api.create(asked);
    const streamed = await api.stream(asked).finalMessage();
    expect(streamed.content).toEqual(whole.content);
    expect(streamed.usage.output_tokens).toBe(whole.usage.output_tokens);
    const { name, parameters } = weather;
    const used = await api
      .stream({ ...asked, tools: [{ name, input_schema: { ...parameters, type: 'object' } }] })
      .finalMessage();
    expect(used).toMatchObject({ stop_reason: 'tool_use', content: [{ input: { city: 'Oslo' } }] });
    const two = ['get_weather', 'tell_Oslo'].map((called) => ({
      ...{ name: called, input_schema: { type: 'object' as const } },
    }));
    for (const [isAlone, expected] of [
      [true, 1],
      [false, 2],
    ] as const) {
      const choice = { type: 'auto' as const, disable_parallel_tool_use: isAlone };
      const { content } = await api.create({ ...asked, tools: two, tool_choice: choice });
      expect(content).toHaveLength(expected);
    }
    const betas = ['threads'];
    const beta = anthropic().beta.messages;
    const begun = await beta.create({ ...asked, betas, thread: { type: 'create' } });
    const thread = { type: 'continue' as const, previous_message_id: begun.id };
    await beta.create({ ...asked, betas, thread });
    const unknown = { ...thread, previous_message_id: 'msg_none' };
    await expect(beta.create({ ...asked, betas, thread: unknown })).rejects.toThrow(
      Anthropic.NotFoundError,
    );
  });

  test('read embeddings, which they ask for as base64', async () => {
    const asked = { model: 'text-embedding-3-small', input: ['a', 'b'] };
    const { data } = await openai().embeddings.create(asked);
    const floats = await openai().embeddings.create({ ...asked, encoding_format: 'float' });
    expect(double.requests[0]?.body).toContain('base64');
    expect(data).toEqual(floats.data);
  });
});

describe('misbehaves when told to', () => {
  const ask = (trouble: string, stream = false) =>
    post(...chat({ model: `trouble/${trouble}`, stream }));

  test('with error statuses, and how long to wait', async () => {
    const { response, text } = await ask('429');
    expect([response.status, response.headers.get('retry-after')]).toEqual([429, '3']);
    expect(JSON.parse(text)).toMatchObject({ error: { code: 'rate_limit_exceeded' } });
    expect((await ask('503')).response.status).toBe(503);
  });

  test.each(['reset', 'reset-midway'])('with %s', async (trouble) => {
    await expect(ask(trouble, true)).rejects.toThrow();
  });

  test.each(['hang', 'hang-midway'])('with %s', async (trouble) => {
    const { url } = double;
    const [path, body] = chat({ model: `trouble/${trouble}`, stream: true });
    const asked = fetch(url + path, {
      method: 'POST',
      headers: { ...AUTH, 'content-type': 'application/json' },
      body: JSON.stringify(body),
      signal: AbortSignal.timeout(300),
    }).then((response) => response.text());
    await expect(asked).rejects.toThrow(/abort|timeout/i);
  });

  test('with half an answer, and with garbage', async () => {
    const early = await ask('end-early', true);
    expect(early.response.status).toBe(200);
    expect(early.text).not.toContain('[DONE]');
    expect((await ask('garbage')).text).toBe('<oops>');
    expect((await ask('garbage-midway', true)).text).toMatch(/^data: \{"id".*<oops>\n\n$/s);
  });

  test('for the next calls, whatever their model', async () => {
    double.misbehave('500', 2);
    const statuses = [];
    for (let i = 0; i < 3; i++) statuses.push((await post(...chat({}))).response.status);
    expect(statuses).toEqual([500, 500, 200]);
  });
});

describe('as a process of its own', () => {
  let child: ChildProcessByStdio<Writable, Readable, null>;
  beforeAll(() => {
    const main = distPath('bench/support/upstream-double/main.js');
    child = spawn(process.execPath, [main], { stdio: ['pipe', 'pipe', 'inherit'] });
  });
  afterAll(() => void child.kill());

  test('it is told by its control routes, and ends with its standard input', async () => {
    const [line] = (await once(child.stdout, 'data')) as [Buffer];
    const url = /^ready: (\S+)/.exec(line.toString())?.[1] ?? '';
    const headers = { ...AUTH, 'content-type': 'application/json' };
    const control = new URL('/control/', url);
    await fetch(new URL('trouble', control), {
      ...{ method: 'POST', headers },
      body: JSON.stringify({ trouble: '503' }),
    });
    const misspelt = await fetch(new URL('trouble', control), {
      ...{ method: 'POST', headers },
      body: JSON.stringify({ trouble: 'meltdown' }),
    });
    expect(misspelt.status).toBe(400);
    const [path, body] = chat({});
    const asked = { method: 'POST', headers, body: JSON.stringify(body) };
    for (const status of [503, 200]) {
      const response = await fetch(url + path, asked);
      await response.text(); // to the end, which is when the double knows how it went
      expect(response.status).toBe(status);
    }
    const seen = (await (await fetch(new URL('requests', control))).json()) as SeenRequest[];
    expect(seen.map(({ status }) => status)).toEqual([503, 200]);
    child.stdin.end();
    expect(await once(child, 'exit')).toEqual([0, null]);
  });
});
