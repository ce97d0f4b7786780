import type { LanguageConfig } from '../../policies/language/language-config';
import type { ChatAnswer, ChatCall } from '../../policies/language/serving/chat-model';
import type { ServingOptions } from '../../policies/language/serving/open-chat-model';
import type { Tensors } from '../../ports/tensor-runtime';

/** What the host asks of a model's thread. Each is answered once, by its id; chats in any order. */
export type ToChatThread = { readonly id: number } & (
  | { readonly type: 'write'; readonly tensors: Tensors }
  | {
      readonly type: 'open';
      readonly name: string;
      readonly config: LanguageConfig;
      /** What is beside the weights, by name. */
      readonly files: ReadonlyMap<string, Uint8Array>;
      readonly options: ServingOptions;
    }
  | { readonly type: 'chat'; readonly call: ChatCall; readonly wantsText: boolean }
  /** Aborts the chat of that id. */
  | { readonly type: 'abort'; readonly chat: number }
);

export type FromChatThread =
  | { readonly type: 'done'; readonly id: number }
  | { readonly type: 'answer'; readonly id: number; readonly answer: ChatAnswer };

/** Text of a chat as it comes: no answer to a call. */
export interface ChatText {
  readonly type: 'text';
  readonly chat: number;
  readonly text: string;
}
