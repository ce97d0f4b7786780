import { createSpoolDrain } from '../../../src/gateway/recording/drain-spool';
import { mergeSessions, readLiveLines } from '../../../src/gateway/recording/live-segments';
import { createSpoolRecorder } from '../../../src/gateway/recording/spool-recorder';
import { createSpoolFixture } from '../../helpers/spools';
import { openRelay as open, SESSION, type Relay } from './relay-fixture';

const EMBEDDINGS = '/v1/embeddings';
const MODEL = 'text-embedding-3-small';
const CONFIG = {
  upstreams: {
    main: { url: 'https://llm.example/v1', prices: { [MODEL]: { input: 2, output: 0 } } },
  },
  models: { small: [{ upstream: 'main', model: MODEL }] },
};
const openRelay = (): Promise<Relay> => open(EMBEDDINGS, CONFIG);
const ANSWER =
  '{"object":"list", "data":[{"object":"embedding","index":0,"embedding":"AACAPwAAAEA="}],"x":98765432109876543210,"usage":{"prompt_tokens":5,"total_tokens":5}}';

describe('embeddings', () => {
  test('pass byte by byte in both directions, base64 as it is', async () => {
    const gateway = await openRelay();
    gateway.upstreams.answerJson(ANSWER);
    const body = '{ "input":["a",1.50],"model":"small","encoding_format":"base64" }';
    expect(await gateway.text(body)).toBe(ANSWER);
    const [sent] = gateway.upstreams.requests;
    expect(sent?.path).toBe('/embeddings');
    expect(sent?.body).toBe(body.replace('"small"', '"text-embedding-3-small"'));
  });

  test('are no decision of a rollout, and no failure', async () => {
    const gateway = await openRelay();
    gateway.upstreams.answerJson(ANSWER);
    await gateway.text({ model: 'small', input: 'x' });
    const { decisions, failures, messages, pendingCalls } = gateway.recorder.take(SESSION);
    expect([decisions, failures, messages.size, pendingCalls]).toEqual([[], [], 0, 0]);
  });

  test('of live traffic are recorded by what they used, without their texts', async () => {
    const fixture = await createSpoolFixture();
    const { spool } = fixture.open();
    const recorder = createSpoolRecorder({ spool });
    const gateway = await open(EMBEDDINGS, CONFIG, { recorder });
    const key = await gateway.key({ role: 'agent', agent: 'desk' });
    gateway.upstreams.answerJson(ANSWER);
    const body = { model: 'small', input: 'a secret text', user: 'u-1' };
    const reply = await gateway.post(EMBEDDINGS, key, body);
    expect(reply.status).toBe(200);
    expect(reply.headers.get('x-ratchet-recorded')).toBeNull();
    await spool.seal('now');
    await createSpoolDrain({ spool, store: gateway.store }).drain();
    const lines = await readLiveLines(gateway.store, 'desk', '2026-11-23');
    expect(JSON.stringify(lines)).not.toContain('secret');
    const { trajectories, unresolved, uses } = mergeSessions(lines);
    expect([trajectories, unresolved]).toEqual([[], []]);
    expect(uses).toEqual([
      {
        ...{ id: reply.headers.get('x-request-id'), session: 'live/desk/u-1', agent: 'desk' },
        ...{ protocol: 'embeddings', model: 'small', costMicros: 10 },
        upstream: { name: 'main', model: 'text-embedding-3-small' },
        usage: { promptTokens: 5, completionTokens: 0 },
        latencyMs: expect.any(Number) as unknown,
        at: expect.any(String) as unknown,
      },
    ]);
    await spool.close();
    await spool.release();
    await fixture.remove();
  });

  test('are nothing that a policy answers', async () => {
    const gateway = await openRelay();
    const body = { model: 'ratchet/support', input: 'x' };
    expect(await gateway.post(EMBEDDINGS, gateway.session(), body)).toMatchObject({
      status: 400,
      body: { error: { param: 'model', code: 'unsupported_value' } },
    });
  });

  test.each([
    ['no data', { object: 'list' }],
    ['no JSON', 'x'],
  ])('are a 502 where the upstream answers %s', async (_, answer) => {
    const gateway = await openRelay();
    gateway.upstreams.answerJson(answer);
    const reply = await gateway.post(EMBEDDINGS, gateway.session(), { model: 'small', input: 'x' });
    expect(reply).toMatchObject({ status: 502, body: { error: { code: 'upstream_garbage' } } });
  });
});
