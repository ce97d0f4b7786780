import OpenAI, {
  AuthenticationError,
  BadRequestError,
  InternalServerError,
  NotFoundError,
  PermissionDeniedError,
} from 'openai';
import type { ServedGateway } from '../../src/gateway/http/serve';
import { serveGateway } from '../../src/gateway/http/serve';
import type { Fixture } from '../unit/gateway/gateway-fixture';
import { createFixture, NOW, OTHER, tools } from '../unit/gateway/gateway-fixture';

// The real client, as an unmodified agent uses it: what it sends, what it makes of our answers, and which errors it throws.
let gateway: Fixture;
let server: ServedGateway;

beforeEach(async () => {
  gateway = await createFixture();
  server = await serveGateway(gateway.app);
});
afterEach(() => server.close());

const client = (apiKey: string, maxRetries = 0): OpenAI =>
  new OpenAI({ baseURL: `${server.url}/v1`, apiKey, maxRetries });

const ask = (
  apiKey: string,
  overrides: Partial<OpenAI.Chat.ChatCompletionCreateParamsNonStreaming> = {},
): Promise<OpenAI.Chat.ChatCompletion> =>
  client(apiKey).chat.completions.create({
    model: 'ratchet/support',
    messages: [{ role: 'user', content: 'give me my money back' }],
    tools,
    ...overrides,
  });

describe('the openai client', () => {
  test('goes through a whole tool conversation', async () => {
    const key = gateway.session();
    const first = await ask(key);
    const [choice] = first.choices;
    expect(choice?.finish_reason).toBe('tool_calls');
    const [call] = choice?.message.tool_calls ?? [];
    if (choice === undefined || call?.type !== 'function') throw new Error('no tool call');
    const second = await ask(key, {
      messages: [
        { role: 'user', content: 'give me my money back' },
        choice.message,
        { role: 'tool', tool_call_id: call.id, content: 'done' },
      ],
    });
    expect(second.choices[0]?.message.content).toBe('done');
    expect(second.usage?.total_tokens).toBe(4);
    const { decisions, failures } = gateway.recorder.take('run-1/0/task-1/0');
    expect(decisions.map(({ id }) => id)).toEqual([first.id]);
    expect(failures).toEqual([]);
  });

  test('lists models, also page by page', async () => {
    const ids: string[] = [];
    for await (const model of client(gateway.session()).models.list()) ids.push(model.id);
    expect(ids).toEqual(['ratchet/support']);
  });

  test('throws the class that fits', async () => {
    const session = gateway.session();
    const scorer = await gateway.key({ role: 'scorer' });
    const expired = gateway.session({ session: 'old', expiresAt: NOW / 1_000 - 1 });
    await expect(ask('rks-forged.x')).rejects.toThrow(AuthenticationError);
    await expect(ask(expired)).rejects.toMatchObject({ status: 401, code: 'session_expired' });
    await expect(ask(scorer)).rejects.toThrow(PermissionDeniedError);
    await expect(ask(session, { model: 'gpt-5' })).rejects.toThrow(NotFoundError);
    await expect(ask(session, { model: 'gpt-5' })).rejects.toMatchObject({
      code: 'model_not_found',
      param: 'model',
      type: 'invalid_request_error',
      requestID: expect.stringMatching(/^req_/) as unknown,
    });
    await expect(ask(session, { n: 2 })).rejects.toThrow(BadRequestError);
    await expect(client(session).responses.create({ model: 'm', input: 'x' })).rejects.toThrow(
      NotFoundError,
    );
    gateway.policies.failWith = new Error('broken');
    await expect(ask(session)).rejects.toThrow(InternalServerError);
  });

  test('streams', async () => {
    const stream = client(gateway.session()).chat.completions.stream({
      ...{ model: 'ratchet/support', stream_options: { include_usage: true }, tools },
      messages: [{ role: 'user', content: 'hi' }],
    });
    const { id, choices, usage } = await stream.finalChatCompletion();
    expect(id).toMatch(/^chatcmpl-/);
    expect(choices).toMatchObject([
      { finish_reason: 'tool_calls', message: { tool_calls: [{ type: 'function' }] } },
    ]);
    expect(usage).toMatchObject({ prompt_tokens: 1, completion_tokens: 1 });
  });

  test('gets over a failure by its own retry, and the decision counts once', async () => {
    const key = gateway.session();
    gateway.policies.failWith = new Error('broken');
    setTimeout(() => (gateway.policies.failWith = null), 100);
    const answer = await client(key, 5).chat.completions.create({
      model: 'ratchet/support',
      messages: [{ role: 'user', content: 'hi' }],
      tools,
    });
    const { decisions, failures } = gateway.recorder.take('run-1/0/task-1/0');
    expect(decisions).toMatchObject([{ id: answer.id, checkpoint: OTHER }]);
    expect(failures.length).toBeGreaterThan(0);
  });
});
