import { costMicros } from '../../../../src/gateway/upstreams/cost';
import { GatewayConfig } from '../../../../src/schemas/gateway-config';
import { createFakeUpstreams } from '../../../fakes/fake-upstreams';
import { createFixture } from '../gateway-fixture';

const PRICE = { input: 3, output: 15, cacheRead: 0.3, cacheWrite: 3.75 };

test('a million tokens cost their price', () => {
  expect(costMicros(PRICE, { promptTokens: 1_000_000, completionTokens: 0 })).toBe(3_000_000);
  expect(costMicros(PRICE, { promptTokens: 0, completionTokens: 1_000_000 })).toBe(15_000_000);
});

test('cached tokens are part of the prompt, at prices of their own', () => {
  const usage = { promptTokens: 100, completionTokens: 10 };
  expect(costMicros(PRICE, { ...usage, cacheReadTokens: 60, cacheWriteTokens: 30 })).toBe(
    10 * 3 + 60 * 0.3 + 30 * 3.75 + 10 * 15,
  );
  expect(costMicros({ input: 3, output: 15 }, { ...usage, cacheReadTokens: 60 })).toBe(450);
});

test('cheap calls are not rounded away, and their sums carry no noise', () => {
  const one = costMicros({ input: 0.1, output: 0 }, { promptTokens: 3, completionTokens: 0 });
  expect(one).toBe(0.3);
});

test('a price is per upstream and what the model is called there, and is recorded with the decision', async () => {
  const upstreams = createFakeUpstreams({
    upstreams: {
      main: { url: 'https://llm.example/v1', prices: { big: { input: 2, output: 8 } } },
    },
    models: { alias: [{ upstream: 'main', model: 'big' }], other: [{ upstream: 'main' }] },
  });
  const gateway = await createFixture({ upstreams });
  const token = gateway.session();
  const answer = {
    id: 'c',
    choices: [{ index: 0, message: { role: 'assistant', content: 'a' }, finish_reason: 'stop' }],
  };
  const usage = {
    ...{ prompt_tokens: 7, completion_tokens: 2 },
    prompt_tokens_details: { cached_tokens: 4 },
  };
  upstreams.answerJson({ ...answer, usage });
  upstreams.answerJson(answer);
  upstreams.answerJson({ ...answer, usage });
  for (const model of ['alias', 'alias', 'other']) {
    await gateway.post('/v1/chat/completions', token, {
      ...{ model, messages: [{ role: 'user', content: 'hi' }] },
    });
  }
  const { decisions } = gateway.recorder.take('run-1/0/task-1/0');
  expect(decisions.map(({ costMicros: cost }) => cost)).toEqual([30, undefined, undefined]);
  expect(decisions[0]?.usage).toEqual({
    ...{ promptTokens: 7, completionTokens: 2, cacheReadTokens: 4 },
  });
});

test('a negative price is refused', () => {
  const prices = { m: { input: -1, output: 0 } };
  const config = { upstreams: { a: { url: 'http://a.example/v1', prices } } };
  expect(GatewayConfig.safeParse(config).success).toBe(false);
});
