import type { Principal } from '../keys/auth';
import type { Models } from '../model-name';
import { knownModels, unknownModel } from '../model-name';
import type { GatewayContext } from '../http/gateway-context';
import { headerOf } from '../http/gateway-context';
import type { Handler } from '../http/route';

/** How models are described: OpenAI's clients expect one shape, Anthropic's another. */
export interface ModelShape {
  model(id: string): object;
  list(ids: readonly string[]): object;
}

// Clients expect a time; a policy is as old as its champion, which has none on purpose.

/** Source: https://platform.openai.com/docs/api-reference/models */
export const openAiModels: ModelShape = {
  model: (id) => ({ id, object: 'model', created: 0, owned_by: 'ratchet' }),
  list: (ids) => ({ object: 'list', data: ids.map((id) => openAiModels.model(id)) }),
};

/** All of them are one page. Source: https://platform.claude.com/docs/en/api/models */
export const anthropicModels: ModelShape = {
  model: (id) => ({
    ...{ id, type: 'model', display_name: id, created_at: '1970-01-01T00:00:00Z' },
  }),
  list: (ids) => ({
    data: ids.map((id) => anthropicModels.model(id)),
    ...{ has_more: false, first_id: ids[0] ?? null, last_id: ids.at(-1) ?? null },
  }),
};

/** Anthropic's clients say so with each request. */
export function isAnthropicClient(c: GatewayContext): boolean {
  return headerOf(c, 'anthropic-version') !== undefined;
}

/** `GET /v1/models`: the policies that answer under `ratchet/<policy>`, and the models of upstreams. */
export function listModels(models: Models, shape: ModelShape): Handler<Principal> {
  return async (_, { principal }) => ({
    body: shape.list(await knownModels(models, pinOf(principal))),
  });
}

/** `GET /v1/models/<model>`. @throws {RequestError} 404 naming the models that there are. */
export function getModel(models: Models, shape: ModelShape): Handler<Principal> {
  return async (c, { principal }) => {
    const pin = pinOf(principal);
    const id = c.req.param('model') ?? '';
    if ((await knownModels(models, pin)).includes(id)) return { body: shape.model(id) };
    throw await unknownModel(models, id, pin);
  };
}

function pinOf(principal: Principal) {
  return principal.kind === 'session' ? principal.claims : null;
}
