import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import OpenAI from 'openai';
import { createThreadChatHost } from '../../src/adapters/chat-host/thread-chat-host';
import { localModelFolder } from '../../src/adapters/local-model-folder';
import { createLocalObjectStore } from '../../src/adapters/local-store';
import { serveGateway, type ServedGateway } from '../../src/gateway/http/serve';
import { createRoutingReader } from '../../src/gateway/routing-reader';
import { checkpointModelFolder, LANGUAGE_KIND } from '../../src/policies/language/checkpoint';
import { exportModel } from '../../src/policies/language/export-model';
import { importAdapter, importModel } from '../../src/policies/language/import-model';
import type { ChatCall } from '../../src/policies/language/serving/chat-model';
import { createLanguagePolicyServer } from '../../src/policies/language/serving/policy-server';
import { openTokenizer } from '../../src/policies/language/text/tokenizer';
import type { PolicyServer } from '../../src/policies/policy-server';
import { joinPolicyServers } from '../../src/policies/policy-servers';
import type { HostedChatModel } from '../../src/ports/chat-host';
import type { Digest } from '../../src/schemas/ids';
import { checkpointFolder } from '../../src/storage/keys';
import type { ObjectStore } from '../../src/storage/object-store';
import { createRouting } from '../../src/storage/routing';
import { createFakePolicyServer } from '../fakes/fake-policy-server';
import { tinyAdapter } from '../helpers/tiny-adapter';
import { tinyChatModel } from '../helpers/tiny-chat-model';
import type { Fixture } from '../unit/gateway/gateway-fixture';
import { createFixture, routingTo } from '../unit/gateway/gateway-fixture';

const host = createThreadChatHost({ threads: 1 });
let folder: string;
beforeAll(async () => {
  folder = await tinyChatModel();
});

const callOf = (content: string, changes: Partial<ChatCall> = {}): ChatCall => ({
  messages: [{ role: 'user', content }],
  tools: [],
  toolChoice: 'auto',
  sampling: { temperature: 1, topK: 0, topP: 1, minP: 0, repetitionPenalty: 1 },
  ...{ seed: 1, maxTokens: 12, stop: [], variables: {} },
  ...changes,
});

describe('a chat model on its thread', () => {
  let model: HostedChatModel;
  beforeAll(async () => {
    model = await host.load(localModelFolder(folder), { slots: 4 });
  });
  afterAll(() => model.release());

  test('answers many at once, each as if it were alone, and shows text as it comes', async () => {
    const contents = ['Hello', 'Wie geht’s?', '你好', 'Hello', 'def f(x):', '🙂'];
    const alone: string[] = [];
    for (const [seed, content] of contents.entries()) {
      const pieces: string[] = [];
      const answer = await model.chat(callOf(content, { seed }), {
        onText: (text) => pieces.push(text),
      });
      expect(pieces.join('')).toBe(answer.message.content);
      expect(answer.tokens).toHaveLength(answer.logProbs.length);
      alone.push(answer.tokens.join());
    }
    const together = await Promise.all(
      contents.map((content, seed) => model.chat(callOf(content, { seed }))),
    );
    expect(together.map(({ tokens }) => tokens.join())).toEqual(alone);
  });

  test('the prompt is what the template makes of the conversation', async () => {
    const tokenizer = await openTokenizer(localModelFolder(folder));
    const { prompt } = await model.chat(callOf('Hello'));
    expect(tokenizer.decode(prompt, { skipSpecialTokens: false })).toBe(
      '<|im_start|>system\nYou help.<|im_end|>\n<|im_start|>user\nHello<|im_end|>\n<|im_start|>assistant\n',
    );
  });

  test('whoever goes away frees its place, and gets its own reason', async () => {
    const leaving = new AbortController();
    const left = model.chat(
      callOf('Hello', { maxTokens: null, sampling: { ...callOf('').sampling, temperature: 0 } }),
      {
        signal: leaving.signal,
        onText: () => leaving.abort(new Error('gone')),
      },
    );
    await expect(left).rejects.toThrow('gone');
    await expect(model.chat(callOf('Hello'))).resolves.toBeDefined();
  });

  test('a prompt beyond the context is refused with both numbers', async () => {
    await expect(model.chat(callOf('x y '.repeat(600)))).rejects.toMatchObject({
      code: 'InvalidInput',
      message: expect.stringMatching(
        /no room in the context \[promptTokens=\d+, contextLength=512\]/,
      ) as string,
    });
  });
});

describe('a model that cannot be loaded leaves nothing behind, and says why', () => {
  const broken = async (change: (folder: string) => void): Promise<unknown> => {
    const copy = await tinyChatModel();
    change(copy);
    return host.load(localModelFolder(copy)).catch((error: unknown) => error);
  };

  test('weights that were cut off', async () => {
    const error = await broken((copy) => {
      const file = join(copy, 'model.safetensors');
      writeFileSync(file, readFileSync(file).subarray(0, -100));
    });
    expect(error).toMatchObject({ code: 'Integrity' });
  });

  test('no tokenizer', async () => {
    const error = await broken((copy) => writeFileSync(join(copy, 'tokenizer.json'), '{'));
    expect(error).toMatchObject({
      code: 'Integrity',
      message: expect.stringContaining('tokenizer.json') as string,
    });
  });

  test('no chat template', async () => {
    const error = await broken((copy) =>
      writeFileSync(join(copy, 'chat_template.jinja'), '{% if %}'),
    );
    expect(error).toMatchObject({
      code: 'InvalidInput',
      message: expect.stringContaining('chat template') as string,
    });
  });
});

describe('through the gateway', () => {
  let store: ObjectStore;
  let checkpoint: Digest;
  let policies: PolicyServer;
  let gateway: Fixture;
  let server: ServedGateway;
  beforeAll(async () => {
    store = createLocalObjectStore({ root: mkdtempSync(join(tmpdir(), 'ratchet-store-')) });
    ({ checkpoint } = await importModel(store, localModelFolder(folder)));
    await createRouting(store, 'writer', routingTo(checkpoint, null));
    policies = joinPolicyServers(store, {
      choice: createFakePolicyServer([]),
      [LANGUAGE_KIND]: createLanguagePolicyServer({ store, host, serving: { slots: 4 } }),
    });
    gateway = await createFixture({ policies, routing: createRoutingReader(store) });
    server = await serveGateway(gateway.app);
  });
  afterAll(async () => {
    await server.close();
    await policies.close();
  });

  const clientOf = (claims: Parameters<Fixture['session']>[0] = {}): OpenAI =>
    new OpenAI({
      baseURL: `${server.url}/v1`,
      apiKey: gateway.session({ policy: 'writer', checkpoint, ...claims }),
      maxRetries: 0,
    });
  type Asked = Partial<OpenAI.Chat.ChatCompletionCreateParamsNonStreaming> &
    Record<string, unknown>;
  const ask = (client: OpenAI, changes: Asked = {}): Promise<OpenAI.Chat.ChatCompletion> =>
    client.chat.completions.create({
      model: 'ratchet/writer',
      messages: [{ role: 'user', content: 'Hello' }],
      max_tokens: 8,
      ...changes,
    });

  test('the same folder is the same checkpoint, stored once', async () => {
    expect((await importModel(store, localModelFolder(folder))).checkpoint).toBe(checkpoint);
  });

  test('a chat completion is answered, recorded with its token ids, and listed as a model', async () => {
    const answer = await ask(clientOf());
    expect(answer).toMatchObject({
      model: `ratchet/writer@${checkpoint}`,
      choices: [{ finish_reason: 'length', message: { role: 'assistant' }, logprobs: null }],
      usage: { completion_tokens: 8 },
    });
    const { decisions } = gateway.recorder.take('run-1/0/task-1/0');
    expect(decisions).toMatchObject([
      {
        id: answer.id,
        checkpoint,
        sampled: { kind: 'text', finishReason: 'length', tokens: { completion: { length: 8 } } },
      },
    ]);
    const listed: string[] = [];
    for await (const { id } of clientOf().models.list()) listed.push(id);
    expect(listed).toEqual(['ratchet/writer']);
  });

  test('ids and log-probabilities come to who asks for them', async () => {
    const client = clientOf({ session: 'ids' });
    const answer = (await ask(client, { return_token_ids: true, logprobs: true })) as unknown as {
      prompt_token_ids: number[];
      choices: [
        { token_ids: number[]; logprobs: { content: { token: string; logprob: number }[] } },
      ];
    };
    const [{ token_ids: ids, logprobs }] = answer.choices;
    const { decisions } = gateway.recorder.take('ids');
    const [{ sampled }] = decisions as [(typeof decisions)[0]];
    if (sampled.kind !== 'text') throw new Error('no text');
    expect(sampled.tokens).toEqual({
      prompt: answer.prompt_token_ids,
      completion: ids,
      logprobs: logprobs.content.map(({ logprob }) => logprob),
    });
    expect(logprobs.content.map(({ token }) => token)).toEqual(ids.map((id) => `token_id:${id}`));
  });

  test('a session draws the same answer again, another session another', async () => {
    const draw = (task: string): Parameters<Fixture['session']>[0] => ({
      session: `draw-${task}-${Math.random()}`,
      draw: { seed: 1, iteration: 0, task, member: 0 },
    });
    const content = async (task: string): Promise<unknown> =>
      (await ask(clientOf(draw(task)))).choices[0]?.message.content;
    const first = await content('one');
    expect(await content('one')).toBe(first);
    expect(await content('two')).not.toBe(first);
    // An agent that always names one seed still explores.
    const seeded = async (task: string): Promise<unknown> =>
      (await ask(clientOf(draw(task)), { seed: 5 })).choices[0]?.message.content;
    expect(await seeded('one')).toBe(first);
    expect(await seeded('two')).not.toBe(first);
  });

  test('it streams', async () => {
    const stream = clientOf({ session: 'stream' }).chat.completions.stream({
      model: 'ratchet/writer',
      messages: [{ role: 'user', content: 'Hello' }],
      max_tokens: 4,
      stream_options: { include_usage: true },
    });
    const { choices, usage } = (await stream.finalChatCompletion().catch((error: unknown) => {
      // The client itself refuses to call an answer final that was cut off.
      if (error instanceof OpenAI.OpenAIError) return stream.currentChatCompletionSnapshot as never;
      throw error;
    })) as OpenAI.Chat.ChatCompletion;
    expect(choices[0]?.finish_reason).toBe('length');
    expect(usage?.completion_tokens).toBe(4);
  });

  test('the checkpoint can be named, and other models cannot', async () => {
    const client = clientOf({ session: 'named', policy: null, checkpoint: null });
    const answer = await ask(client, { model: `ratchet/writer@${checkpoint}` });
    expect(answer.model).toBe(`ratchet/writer@${checkpoint}`);
    await expect(ask(client, { model: `ratchet/writer@sha256:${'0'.repeat(64)}` })).rejects.toThrow(
      OpenAI.NotFoundError,
    );
  });

  test('a call that is demanded is made, of the tool that is named, with valid arguments', async () => {
    const parameters = {
      type: 'object',
      properties: {
        order: { type: 'integer', minimum: 1, maximum: 99 },
        why: { enum: ['late', 'broken'] },
      },
      required: ['order', 'why'],
    };
    const calling = {
      tools: [
        { type: 'function', function: { name: 'refund', parameters } },
        { type: 'function', function: { name: 'other' } },
      ] as OpenAI.Chat.ChatCompletionTool[],
      max_tokens: 400,
    };
    const named = { type: 'function', function: { name: 'refund' } } as const;
    for (const choice of ['required', named] as const) {
      const answer = await ask(clientOf({ session: `call-${JSON.stringify(choice)}` }), {
        ...calling,
        tool_choice: choice,
      });
      const [{ finish_reason: reason, message }] = answer.choices as [
        OpenAI.Chat.ChatCompletion.Choice,
      ];
      expect(reason).toBe('tool_calls');
      for (const call of message.tool_calls ?? []) {
        if (call.type !== 'function') throw new Error('no function');
        if (choice === named) expect(call.function.name).toBe('refund');
        const given = JSON.parse(call.function.arguments) as { order?: number; why?: string };
        if (call.function.name === 'other') expect(given).toEqual({});
        else {
          expect(['late', 'broken']).toContain(given.why);
          expect(given.order).toBeGreaterThan(0);
          expect(given.order).toBeLessThan(100);
        }
      }
    }
    await expect(
      ask(clientOf({ session: 'no-tool' }), { tool_choice: 'required' }),
    ).rejects.toThrow(/no tool to call/);
  });

  test('what the model cannot do is refused by name', async () => {
    const client = clientOf({ session: 'refused' });
    await expect(ask(client, { presence_penalty: 1 })).rejects.toThrow(/presence_penalty/);
    await expect(ask(client, { response_format: { type: 'json_object' } })).rejects.toThrow(
      /response_format|only text/,
    );
    await expect(
      ask(client, { messages: [{ role: 'user', content: 'x y '.repeat(600) }] }),
    ).rejects.toThrow(/no room in the context/);
  });

  test('an adapter is served as the model that it makes of its base', async () => {
    const adapter = await importAdapter(store, localModelFolder(await tinyAdapter()), checkpoint);
    const adapted = await checkpointModelFolder(store, adapter.checkpoint);
    const merged = mkdtempSync(join(tmpdir(), 'ratchet-model-'));
    for await (const file of exportModel(adapted, { dtype: 'F32' })) {
      await writeFile(join(merged, file.name), file.chunks());
    }
    const alone = await host.load(localModelFolder(merged));
    const greedy = { ...callOf('Hello').sampling, temperature: 0 };
    const expected = await alone.chat(callOf('Hello', { sampling: greedy, maxTokens: 8 }));
    await alone.release();
    const content = async (digest: Digest): Promise<unknown> => {
      const client = clientOf({
        session: digest,
        checkpoint: digest,
        sampling: { temperature: 0 },
      });
      return (await ask(client)).choices[0]?.message.content;
    };
    expect(await content(adapter.checkpoint)).toBe(expected.message.content);
    expect(await content(checkpoint)).not.toBe(expected.message.content);
  });

  test('weights that were changed in the store are not served', async () => {
    const root = mkdtempSync(join(tmpdir(), 'ratchet-store-'));
    const other = createLocalObjectStore({ root });
    const imported = await importModel(other, localModelFolder(folder));
    const key = `${checkpointFolder(imported.checkpoint)}model.safetensors`;
    const { bytes } = await other.get(key);
    bytes[bytes.length - 1] = (bytes.at(-1) ?? 0) ^ 1;
    await other.put(key, bytes);
    const damaged = createLanguagePolicyServer({ store: other, host });
    await expect(damaged.serve(imported.checkpoint)).rejects.toMatchObject({ code: 'Integrity' });
    await damaged.close();
  });
});
