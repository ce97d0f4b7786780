import type { ProtocolName } from '../../../src/schemas/gateway-config';

export interface ModelRequest {
  readonly path: string;
  readonly body: (model: string, text: string) => object;
}

/** The smallest request of each protocol; `text` goes where people's words go. */
export const MODEL_REQUESTS: Readonly<Record<ProtocolName, ModelRequest>> = {
  chat: {
    path: '/v1/chat/completions',
    body: (model, text) => ({ model, messages: [{ role: 'user', content: text }] }),
  },
  responses: {
    path: '/v1/responses',
    body: (model, text) => ({ model, input: [{ role: 'user', content: text }] }),
  },
  messages: {
    path: '/v1/messages',
    body: (model, text) => ({
      ...{ model, max_tokens: 100, messages: [{ role: 'user', content: text }] },
    }),
  },
  embeddings: { path: '/v1/embeddings', body: (model, text) => ({ model, input: text }) },
};
