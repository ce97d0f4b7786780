import { withoutTokens } from '../../../src/gateway/recording/without-tokens';
import type { SampledTokens } from '../../../src/schemas/decision';

const decisionOf = (tokens: unknown, rest: object = {}): string =>
  JSON.stringify({ id: 'd', ...rest, sampled: { kind: 'text', tokens }, at: 'now' });

test.each<[string, SampledTokens]>([
  ['all three lists', { prompt: [1, 22], completion: [333], logprobs: [-0.25, -1.5e-7] }],
  ['empty lists', { prompt: [], completion: [], logprobs: [] }],
  ['lists that the upstream did not give', { prompt: null, completion: [4], logprobs: null }],
])('%s are left out, and everything else stays', (_, tokens) => {
  expect(withoutTokens(decisionOf(tokens))).toBe(decisionOf(null));
});

test.each<[string, unknown]>([
  ['no tokens', null],
  ['a list with a text in it', { prompt: ['1'], completion: [], logprobs: null }],
  ['a list of lists', { prompt: [[1]], completion: [], logprobs: null }],
  ['other members', { prompt: null, completion: [], logprobs: null, more: 1 }],
  ['another order', { completion: [], prompt: null, logprobs: null }],
])('%s: all of it has to be read', (_, tokens) => {
  expect(withoutTokens(decisionOf(tokens))).toBeNull();
});

test('a text that says the same is no member', () => {
  const said = { finishReason: '"tokens":{"prompt":null,"completion":[],"logprobs":null}' };
  expect(withoutTokens(decisionOf(null, said))).toBeNull();
  const tokens = { prompt: [1], completion: [2], logprobs: null };
  expect(withoutTokens(decisionOf(tokens, said))).toBe(decisionOf(null, said));
});

test.each(['"tokens":', '"tokens":{"prompt":[1', '"tokens":{"prompt":[x]'])(
  'a text that ends or goes on otherwise is not cut: %s',
  (text) => {
    expect(withoutTokens(`{${text}`)).toBeNull();
  },
);
