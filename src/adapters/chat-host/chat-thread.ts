import { parentPort, workerData, type MessagePort } from 'node:worker_threads';
import { InvalidInputError, NotFoundError } from '../../errors';
import type { ModelFolder } from '../../policies/language/model-folder';
import { openChatModel } from '../../policies/language/serving/open-chat-model';
import type { Close, Failed } from '../ort/calling-thread';
import { createInThreadWorkspace } from '../ort/in-thread-workspace';
import type { OrtOptions } from '../ort/options';
import { toSerializedError } from '../trainer/serialized-error';
import type { ChatText, FromChatThread, ToChatThread } from './protocol';

// The body of a model's thread: its weights, its tokenizer and its engine. Chats are answered as they end, not one after the other.

async function main(port: MessagePort): Promise<void> {
  const workspace = createInThreadWorkspace(workerData as OrtOptions);
  const chats = new Map<number, AbortController>();
  let model: Awaited<ReturnType<typeof openChatModel>> | null = null;

  async function answer(message: ToChatThread): Promise<FromChatThread> {
    const { id } = message;
    switch (message.type) {
      case 'write':
        await workspace.write(message.tensors);
        return { type: 'done', id };
      case 'open': {
        const { config, files, name, options } = message;
        model = await openChatModel(workspace, config, folderOf(name, files), options);
        return { type: 'done', id };
      }
      case 'chat': {
        if (model === null) throw new InvalidInputError('the model is not open');
        const abort = new AbortController();
        chats.set(id, abort);
        const onText = (text: string): void =>
          port.postMessage({ type: 'text', chat: id, text } satisfies ChatText);
        try {
          const answer = await model.chat(message.call, {
            signal: abort.signal,
            ...(message.wantsText && { onText }),
          });
          return { type: 'answer', id, answer };
        } finally {
          chats.delete(id);
        }
      }
      case 'abort':
        chats.get(message.chat)?.abort(new InvalidInputError('the caller went away'));
        return { type: 'done', id };
    }
  }

  async function handle(message: ToChatThread): Promise<void> {
    try {
      port.postMessage(await answer(message));
    } catch (error) {
      const failed: Failed = { type: 'failed', id: message.id, error: toSerializedError(error) };
      port.postMessage(failed);
    }
  }

  port.on('message', (message: ToChatThread | Close) => {
    if ('id' in message) return void handle(message);
    void (async () => {
      await model?.close();
      await workspace.close();
      port.close(); // nothing is left to wait for, so the thread ends
    })();
  });
}

function folderOf(name: string, files: ReadonlyMap<string, Uint8Array>): ModelFolder {
  const missing = (file: string): never => {
    throw new NotFoundError('a model folder lacks a file', { context: { folder: name, file } });
  };
  return {
    name,
    read: async (file) => files.get(file) ?? missing(file),
    open: async (file) => missing(file),
    list: async () => [...files.keys()],
  };
}

if (parentPort === null) throw new InvalidInputError('this module only runs as a worker thread');
void main(parentPort);
