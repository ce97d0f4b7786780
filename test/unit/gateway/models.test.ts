import { openRelay } from './relay-fixture';

const CONFIG = {
  upstreams: { main: { url: 'https://llm.example/v1' } },
  models: { 'org/gpt': [{ upstream: 'main' }] },
};
const ANTHROPIC = { 'anthropic-version': '2026-10-21' };

async function get(
  path: string,
  headers: Record<string, string> = {},
): Promise<{ status: number; body: unknown }> {
  const gateway = await openRelay('/v1/models', CONFIG);
  const response = await gateway.app.request(path, {
    headers: { authorization: `Bearer ${gateway.session()}`, ...headers },
  });
  return { status: response.status, body: await response.json() };
}

describe('models', () => {
  test('are listed as OpenAI’s clients expect it', async () => {
    const { body } = await get('/v1/models');
    const rest = { object: 'model', created: 0, owned_by: 'ratchet' };
    const data = ['ratchet/support', 'org/gpt'].map((id) => ({ id, ...rest }));
    expect(body).toEqual({ object: 'list', data });
  });

  test('are listed as Anthropic’s clients expect it, if one asks', async () => {
    const { body } = await get('/v1/models', ANTHROPIC);
    const rest = { type: 'model', created_at: '1970-01-01T00:00:00Z' };
    expect(body).toEqual({
      data: ['ratchet/support', 'org/gpt'].map((id) => ({ id, display_name: id, ...rest })),
      ...{ has_more: false, first_id: 'ratchet/support', last_id: 'org/gpt' },
    });
  });

  test.each(['org/gpt', 'org%2Fgpt', 'ratchet/support'])('are found by name: %s', async (name) => {
    const { status, body } = await get(`/v1/models/${name}`);
    expect(status).toBe(200);
    expect(body).toMatchObject({ id: decodeURIComponent(name), object: 'model' });
  });

  test('that there are not are a 404 in the shape that the client reads', async () => {
    const usual = await get('/v1/models/nobody');
    expect(usual).toMatchObject({ status: 404, body: { error: { code: 'model_not_found' } } });
    const anthropic = await get('/v1/models/nobody', ANTHROPIC);
    expect(anthropic).toMatchObject({
      status: 404,
      body: { type: 'error', error: { type: 'not_found_error' } },
    });
  });
});
