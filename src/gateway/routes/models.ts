import type { Principal } from '../auth';
import { knownModels } from '../model-name';
import type { Handler } from '../route';
import type { RoutingReader } from '../routing-reader';

/** `GET /v1/models`, as OpenAI's: the policies that answer under `ratchet/<policy>`. */
export function listModels({ routing }: { readonly routing: RoutingReader }): Handler<Principal> {
  return async (_, { principal }) => {
    const pin = principal.kind === 'session' ? principal.claims : null;
    const models = await knownModels(routing, pin);
    return {
      body: {
        object: 'list',
        // OpenAI's clients expect a time; a policy is as old as its champion, which has none on purpose.
        data: models.map((id) => ({ id, object: 'model', created: 0, owned_by: 'ratchet' })),
      },
    };
  };
}
