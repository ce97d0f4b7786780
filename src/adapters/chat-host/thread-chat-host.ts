import { Worker } from 'node:worker_threads';
import { NotFoundError } from '../../errors';
import { openModelWeights, CONFIG_FILE } from '../../policies/language/model-files';
import type { ModelFolder } from '../../policies/language/model-folder';
import { parameterShapes } from '../../policies/language/parameters';
import { GENERATION_CONFIG_FILE } from '../../policies/language/serving/generation-config';
import type { ServingOptions } from '../../policies/language/serving/open-chat-model';
import { CHAT_TEMPLATE_FILES } from '../../policies/language/text/chat-template';
import { TOKENIZER_CONFIG_FILE, TOKENIZER_FILE } from '../../policies/language/text/tokenizer';
import type { ChatHost, HostedChatModel } from '../../ports/chat-host';
import { distPath } from '../dist-path';
import { CallingThread } from '../ort/calling-thread';
import type { OrtOptions } from '../ort/options';
import { sessionOptions } from '../ort/options';
import type { ChatText, FromChatThread, ToChatThread } from './protocol';

/** What a model's thread needs beside the weights. */
const SMALL_FILES = [
  CONFIG_FILE,
  GENERATION_CONFIG_FILE,
  TOKENIZER_FILE,
  TOKENIZER_CONFIG_FILE,
  ...CHAT_TEMPLATE_FILES,
];

/**
 * Each model on a worker thread of its own: ONNX Runtime blocks its thread, and the caller's has requests to take.
 *
 * @throws {InvalidInputError} if an option is out of range.
 */
export function createThreadChatHost(options: OrtOptions = {}): ChatHost {
  sessionOptions(options);
  return { load: (folder, serving = {}) => load(folder, options, serving) };
}

async function load(
  folder: ModelFolder,
  options: OrtOptions,
  serving: ServingOptions,
): Promise<HostedChatModel> {
  const weights = await openModelWeights(folder);
  try {
    const files = await readSmallFiles(folder);
    const listeners = new Map<number, (text: string) => void>();
    const thread = new CallingThread<ToChatThread, FromChatThread, ChatText>(
      new Worker(distPath('src/adapters/chat-host/chat-thread.js'), {
        workerData: options,
        name: 'language model',
      }),
      ({ chat, text }) => listeners.get(chat)?.(text),
    );
    try {
      const { config, names } = weights;
      const shapes = parameterShapes(config);
      for (const name of names) {
        const data = await weights.read(name);
        const tensor = { dtype: 'float32' as const, shape: shapes[name] ?? [], data };
        const isOwn = data.byteLength === data.buffer.byteLength;
        const transfer = isOwn ? [data.buffer as ArrayBuffer] : [];
        await thread.call({ type: 'write', tensors: { [name]: tensor } }, transfer).reply;
      }
      await thread.call({ type: 'open', name: folder.name, config, files, options: serving }).reply;
    } catch (error) {
      await thread.close();
      throw error;
    }
    return hosted(thread, listeners);
  } finally {
    await weights.close();
  }
}

function hosted(
  thread: CallingThread<ToChatThread, FromChatThread, ChatText>,
  listeners: Map<number, (text: string) => void>,
): HostedChatModel {
  return {
    async chat(call, { signal, onText } = {}) {
      signal?.throwIfAborted();
      const { call: id, reply } = thread.call({
        type: 'chat',
        call,
        wantsText: onText !== undefined,
      });
      if (onText !== undefined) listeners.set(id, onText);
      // Where the thread is gone, the chat itself says so.
      const abort = (): void => void thread.call({ type: 'abort', chat: id }).reply.catch(() => 0);
      signal?.addEventListener('abort', abort, { once: true });
      try {
        return ((await reply) as Extract<FromChatThread, { type: 'answer' }>).answer;
      } catch (error) {
        signal?.throwIfAborted(); // the caller's own reason
        throw error;
      } finally {
        signal?.removeEventListener('abort', abort);
        listeners.delete(id);
      }
    },
    release: () => thread.close(),
  };
}

async function readSmallFiles(folder: ModelFolder): Promise<Map<string, Uint8Array>> {
  const files = new Map<string, Uint8Array>();
  for (const name of SMALL_FILES) {
    try {
      files.set(name, await folder.read(name));
    } catch (error) {
      if (!(error instanceof NotFoundError)) throw error; // whoever needs it says so
    }
  }
  return files;
}
