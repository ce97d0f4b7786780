import { Refusal, type Provider } from './refusal';

/** The models that the double has. `vllm/…` takes what it does not know, as an engine of one's own does; the others are strict. */
const MODELS: Readonly<Record<string, readonly Provider[]>> = {
  'gpt-4o': ['openai'],
  'gpt-4o-mini': ['openai'],
  'gpt-5-mini': ['openai'],
  'text-embedding-3-small': ['openai'],
  'vllm/qwen': ['openai'],
  'claude-sonnet-5': ['anthropic', 'openai'],
};

const describe = (provider: Provider, id: string): object =>
  provider === 'openai'
    ? { id, object: 'model', created: 1_700_000_000, owned_by: 'double' }
    : { type: 'model', id, display_name: id, created_at: '2026-01-01T00:00:00Z' };

export function modelList(provider: Provider): object {
  const ids = Object.keys(MODELS).filter((id) => MODELS[id]?.includes(provider));
  const data = ids.map((id) => describe(provider, id));
  return provider === 'openai'
    ? { object: 'list', data }
    : { data, has_more: false, first_id: ids[0], last_id: ids.at(-1) };
}

/** @throws {Refusal} 404 */
export function modelOf(provider: Provider, id: string): object {
  if (Object.hasOwn(MODELS, id) && MODELS[id]?.includes(provider)) return describe(provider, id);
  throw new Refusal(404, `the model '${id}' does not exist`, {
    ...{ code: 'model_not_found', param: 'model' },
  });
}
