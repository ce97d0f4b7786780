import { createSpoolRecorder } from '../../../src/gateway/recording/spool-recorder';
import { createSpoolDrain } from '../../../src/gateway/recording/drain-spool';
import { mergeSessions, readLiveLines } from '../../../src/gateway/recording/live-segments';
import { createSpoolFixture } from '../../helpers/spools';
import { openRelay, SESSION, UPSTREAM_KEY } from './relay-fixture';

const COUNT = '/v1/messages/count_tokens';
const CONFIG = {
  upstreams: {
    main: {
      url: 'https://claude.example/v1',
      key: { env: 'KEY' },
      protocols: ['messages'],
      prices: { 'claude-opus-5': { input: 5, output: 25 } },
    },
  },
  models: { alias: [{ upstream: 'main', model: 'claude-opus-5' }] },
};
const BODY =
  '{ "messages":[{"role":"user","content":"h\\u00ef"}], "x": 12345678901234567890,"model":"alias"}';

describe('a count of tokens', () => {
  test('is the upstream’s that would answer the call, byte by byte in both directions', async () => {
    const gateway = await openRelay(COUNT, CONFIG);
    gateway.upstreams.answerJson('{"input_tokens": 2095 }');
    const headers = { 'anthropic-version': '2026-10-21' };
    expect(await gateway.text(BODY, headers)).toBe('{"input_tokens": 2095 }');
    const [sent] = gateway.upstreams.requests;
    expect(sent?.path).toBe('/messages/count_tokens');
    expect(sent?.body).toBe(BODY.replace('"alias"', '"claude-opus-5"'));
    expect(sent?.headers).toEqual({ ...headers, 'x-api-key': UPSTREAM_KEY });
    const { decisions, failures, pendingCalls } = gateway.recorder.take(SESSION);
    expect([decisions, failures, pendingCalls]).toEqual([[], [], 0]);
  });

  test('costs nothing, and of live traffic that is what is recorded', async () => {
    const fixture = await createSpoolFixture();
    const { spool } = fixture.open();
    const charged: object[] = [];
    const gateway = await openRelay(COUNT, CONFIG, {
      recorder: createSpoolRecorder({ spool }),
      limiter: { admit: () => undefined, charge: (_, used) => void charged.push(used) },
    });
    gateway.upstreams.answerJson({ input_tokens: 2095 });
    const key = await gateway.key({ role: 'agent', agent: 'desk' });
    expect((await gateway.post(COUNT, key, BODY)).status).toBe(200);
    expect(charged).toEqual([{ tokens: 0, costMicros: 0 }]);
    await spool.seal('now');
    await createSpoolDrain({ spool, store: gateway.store }).drain();
    const { uses, unresolved } = mergeSessions(
      await readLiveLines(gateway.store, 'desk', '2026-11-23'),
    );
    expect(unresolved).toEqual([]);
    expect(uses).toMatchObject([
      { protocol: 'messages', costMicros: 0, usage: { promptTokens: 0, completionTokens: 0 } },
    ]);
    await spool.close();
    await spool.release();
    await fixture.remove();
  });

  test('that the upstream does not serve is refused in its words', async () => {
    const gateway = await openRelay(COUNT, CONFIG);
    const refused = { type: 'error', error: { type: 'not_found_error', message: 'no such path' } };
    gateway.upstreams.answerJson(refused, { status: 404 });
    const reply = await gateway.post(COUNT, gateway.session(), BODY);
    expect(reply).toMatchObject({ status: 404, body: refused });
  });

  test('is nothing that a policy answers, said in Anthropic’s shape', async () => {
    const gateway = await openRelay(COUNT, CONFIG);
    const reply = await gateway.post(
      COUNT,
      gateway.session(),
      BODY.replace('alias', 'ratchet/support'),
    );
    expect(reply).toMatchObject({
      status: 400,
      body: { type: 'error', error: { type: 'invalid_request_error' } },
    });
    expect(reply.body.error?.message).toContain('/messages/count_tokens');
  });

  test.each(['{}', '{"input_tokens":-1}', 'x'])('is a 502 where %s comes instead', async (text) => {
    const gateway = await openRelay(COUNT, CONFIG);
    gateway.upstreams.answerJson(text);
    const reply = await gateway.post(COUNT, gateway.session(), BODY);
    expect(reply).toMatchObject({
      status: 502,
      body: { error: { details: { error_code: 'upstream_garbage' } } },
    });
  });
});
