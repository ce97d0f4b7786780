import { createInterface } from 'node:readline/promises';
import { createThreadChatHost } from '../src/adapters/chat-host/thread-chat-host';
import type { ChatAnswer } from '../src/policies/language/serving/chat-model';
import type { HostedChatModel } from '../src/ports/chat-host';
import type { Message } from '../src/schemas/message';
import type { Environment } from './env';
import { openNamedModel } from './model-files';

export interface ChatSettings {
  readonly prompt?: string;
  readonly system?: string;
  readonly temperature: number;
  readonly maxTokens?: number;
  readonly seed?: number;
}

/** A conversation in the terminal; it ends with the input, or with Ctrl-C where no answer is being written. */
export async function chatWith(
  env: Environment,
  name: string,
  settings: ChatSettings,
): Promise<void> {
  const { folder } = await openNamedModel(env, name);
  process.stderr.write('loading …\n');
  const { executionProviders, contextLength } = env.language;
  const host = createThreadChatHost({ threads: env.threads, executionProviders });
  const model = await host.load(folder, { slots: 1, contextLength });
  const { system, prompt, seed = Math.floor(Math.random() * 2 ** 32) } = settings;
  const messages: Message[] = system === undefined ? [] : [{ role: 'system', content: system }];
  try {
    if (prompt !== undefined) {
      await answer(model, [...messages, { role: 'user', content: prompt }], settings, seed);
      return;
    }
    await converse(model, messages, settings, seed);
  } finally {
    await model.release();
  }
}

async function converse(
  model: HostedChatModel,
  messages: Message[],
  settings: ChatSettings,
  seed: number,
): Promise<void> {
  const terminal = createInterface({ input: process.stdin, output: process.stdout, prompt: '> ' });
  let writing: AbortController | null = null;
  terminal.on('SIGINT', () => {
    if (writing === null) terminal.close();
    else writing.abort(new Error('stopped'));
  });
  terminal.prompt();
  for await (const line of terminal) {
    if (line.trim() !== '') {
      messages.push({ role: 'user', content: line });
      writing = new AbortController();
      try {
        const { message } = await answer(model, messages, settings, seed, writing.signal);
        messages.push(message);
      } catch (error) {
        if (!writing.signal.aborted) throw error;
        messages.pop(); // as if it had not been asked
        process.stdout.write(' …\n');
      }
      writing = null;
    }
    terminal.prompt();
  }
}

async function answer(
  model: HostedChatModel,
  messages: readonly Message[],
  { temperature, maxTokens }: ChatSettings,
  seed: number,
  signal?: AbortSignal,
): Promise<ChatAnswer> {
  const startedAt = performance.now();
  const result = await model.chat(
    {
      messages,
      tools: [],
      toolChoice: 'auto',
      sampling: { temperature, topK: 0, topP: 1, minP: 0, repetitionPenalty: 1 },
      ...{ seed, maxTokens: maxTokens ?? null, stop: [], variables: {} },
    },
    { onText: (text) => process.stdout.write(text), ...(signal && { signal }) },
  );
  process.stdout.write('\n');
  const seconds = (performance.now() - startedAt) / 1000;
  process.stderr.write(
    `${result.tokens.length} tokens, ${(result.tokens.length / seconds).toFixed(1)} a second${result.finish === 'length' ? ', cut off' : ''}\n`,
  );
  return result;
}
