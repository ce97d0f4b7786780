import { SampledTokens } from '../../../src/schemas/decision';

const tokens = { prompt: [1, 2], completion: [3], logprobs: [-0.5] };

test.each([
  ['ids and logprobs', {}],
  ['a prompt that is not known', { prompt: null }],
  ['logprobs that are not known', { logprobs: null }],
  ['empty lists', { prompt: [], completion: [], logprobs: [] }],
])('sampled tokens may have %s', (_, change) => {
  expect(SampledTokens.parse({ ...tokens, ...change })).toEqual({ ...tokens, ...change });
});

test.each([
  ['a negative id', { completion: [3, -1] }],
  ['half an id', { prompt: [1.5] }],
  ['an id that no double holds', { prompt: [2 ** 53] }],
  ['an id that is a text', { completion: ['3'] }],
  ['no ids of the answer', { completion: null }],
  ['a logprob that is no number', { logprobs: [null] }],
  ['an infinite logprob', { logprobs: [-Infinity] }],
  ['a number for a list', { logprobs: -0.5 }],
])('sampled tokens may not have %s', (_, change) => {
  expect(SampledTokens.safeParse({ ...tokens, ...change }).success).toBe(false);
});
