import type { Principal } from '../keys/auth';
import type { Models } from '../model-name';
import { knownModels } from '../model-name';
import type { Handler } from '../http/route';

/** `GET /v1/models`, as OpenAI's: the policies that answer under `ratchet/<policy>`, and the models of upstreams. */
export function listModels(models: Models): Handler<Principal> {
  return async (_, { principal }) => {
    const pin = principal.kind === 'session' ? principal.claims : null;
    const names = await knownModels(models, pin);
    return {
      body: {
        object: 'list',
        // OpenAI's clients expect a time; a policy is as old as its champion, which has none on purpose.
        data: names.map((id) => ({ id, object: 'model', created: 0, owned_by: 'ratchet' })),
      },
    };
  };
}
