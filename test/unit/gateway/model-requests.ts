import type { Gateway } from '../../../src/gateway/app';
import type { ProtocolName } from '../../../src/schemas/gateway-config';

/** The smallest request of each protocol; `text` goes where people's words go. */
const REQUESTS: Readonly<
  Record<
    ProtocolName,
    { readonly path: string; readonly body: (model: string, text: string) => object }
  >
> = {
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

export interface ModelRequest {
  readonly protocol: ProtocolName;
  readonly path: string;
  readonly body: (model: string, text: string) => object;
}

/** Those of the protocols that the gateway speaks. */
export function modelRequests(app: Gateway): readonly [ModelRequest, ...ModelRequest[]] {
  const paths = new Set(app.routes.map(({ path }) => path));
  return Object.entries(REQUESTS)
    .map(([protocol, request]) => ({ protocol: protocol as ProtocolName, ...request }))
    .filter(({ path }) => paths.has(path)) as unknown as [ModelRequest, ...ModelRequest[]];
}
