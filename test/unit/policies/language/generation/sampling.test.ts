import {
  sampleToken,
  TokenSampling,
  type SampledToken,
} from '../../../../../src/policies/language/generation/sampling';
import type { NextToken } from '../../../../../src/policies/language/generation/decoder';
import { stream } from '../../../../../src/rl/counter-rng';

const DRAWS = 20_000;
const LOGITS = Float32Array.of(2, 1, 0, -1, 1.5, -3);
const softmax = (logits: ArrayLike<number>): number[] => {
  const weights = Array.from(logits, Math.exp);
  const total = weights.reduce((a, b) => a + b, 0);
  return weights.map((weight) => weight / total);
};

/** As a decoder gives it. */
const next = (logits: Float32Array): NextToken => ({
  logits,
  normalizer: Math.log(logits.reduce((sum, logit) => sum + Math.exp(logit), 0)),
});

interface Drawn {
  readonly shares: number[];
  readonly samples: SampledToken[];
}

function drawMany(
  sampling: Partial<TokenSampling>,
  { logits = LOGITS, seen = [] as number[], allowed = null as Uint32Array | null } = {},
): Drawn {
  const random = stream({ seed: 7, purpose: 'test.sampling' });
  const samples = Array.from({ length: DRAWS }, () =>
    sampleToken(next(logits), {
      sampling: TokenSampling.parse(sampling),
      random,
      seen: new Set(seen),
      allowed,
    }),
  );
  const counts = Array.from(logits, () => 0);
  for (const { token } of samples) counts[token] = (counts[token] as number) + 1;
  return { shares: counts.map((count) => count / DRAWS), samples };
}

/** The shares of many draws are the expected ones, and each draw says so. */
function expectDistribution({ shares, samples }: Drawn, expected: readonly number[]): void {
  expected.forEach((p, token) => {
    // Four standard errors of a share.
    expect(Math.abs((shares[token] as number) - p)).toBeLessThanOrEqual(
      4 * Math.sqrt((p * (1 - p)) / DRAWS),
    );
  });
  for (const { token, logProb } of samples.slice(0, 200)) {
    expect(logProb).toBeCloseTo(Math.log(expected[token] as number), 5);
  }
}

/** What is left of a distribution. */
function only(tokens: readonly number[], p: readonly number[]): number[] {
  const kept = p.map((value, token) => (tokens.includes(token) ? value : 0));
  const total = kept.reduce((a, b) => a + b, 0);
  return kept.map((value) => value / total);
}

test('by default tokens are drawn from the model as it is', () => {
  const drawn = drawMany({});
  expectDistribution(drawn, softmax(LOGITS));
  for (const { logProb, rawLogProb } of drawn.samples.slice(0, 50)) {
    expect(logProb).toBeCloseTo(rawLogProb, 12);
  }
});

test('a temperature divides the logits; the raw log-probability knows nothing of it', () => {
  const drawn = drawMany({ temperature: 0.5 });
  expectDistribution(drawn, softmax(LOGITS.map((logit) => logit * 2)));
  const raw = softmax(LOGITS);
  for (const { token, rawLogProb } of drawn.samples.slice(0, 50)) {
    expect(rawLogProb).toBeCloseTo(Math.log(raw[token] as number), 5);
  }
});

test('temperature 0 takes the most probable token, the first of equals', () => {
  const { samples } = drawMany({ temperature: 0 }, { logits: Float32Array.of(1, 3, 3, 2) });
  expect(new Set(samples.map(({ token }) => token))).toEqual(new Set([1]));
  expect(samples[0]?.logProb).toBe(0);
});

test('top-k leaves the k most probable', () => {
  expectDistribution(drawMany({ topK: 3 }), only([0, 1, 4], softmax(LOGITS)));
  expectDistribution(drawMany({ topK: 1 }), only([0], softmax(LOGITS)));
  expectDistribution(drawMany({ topK: 100 }), softmax(LOGITS));
});

test('top-p leaves the fewest that have so much probability together', () => {
  const p = softmax(LOGITS); // 0.463, 0.281, 0.170, … in order 0, 4, 1
  expect((p[0] as number) + (p[4] as number)).toBeLessThan(0.75);
  expectDistribution(drawMany({ topP: 0.75 }), only([0, 4, 1], p));
  expectDistribution(drawMany({ topP: 0.4 }), only([0], p));
  expectDistribution(drawMany({ topP: 0.9999 }), p);
});

test('top-p after top-k counts shares of what top-k left', () => {
  const p = softmax(LOGITS);
  const ofTwo = (p[0] as number) / ((p[0] as number) + (p[4] as number));
  expectDistribution(drawMany({ topK: 2, topP: ofTwo + 0.01 }), only([0, 4], p));
  expectDistribution(drawMany({ topK: 2, topP: ofTwo - 0.01 }), only([0], p));
});

test('min-p comes last: what it leaves out still counts for top-p', () => {
  const p = softmax(LOGITS);
  const ofThree =
    ((p[0] as number) + (p[4] as number)) /
    ((p[0] as number) + (p[4] as number) + (p[1] as number));
  // Two of three have less than this together, so top-p keeps the third; then min-p takes it.
  const cuts = { topK: 3, topP: ofThree - 0.01, minP: Math.exp(-0.99) };
  expectDistribution(drawMany(cuts), only([0, 4], p));
  // Of the two that min-p would leave, the first alone would have this much.
  const ofTwo = (p[0] as number) / ((p[0] as number) + (p[4] as number));
  const share = (p[0] as number) / ((p[0] as number) + (p[4] as number) + (p[1] as number));
  expectDistribution(
    drawMany({ topK: 3, topP: (ofTwo + share) / 2, minP: Math.exp(-0.6) }),
    only([0, 4], p),
  );
});

test('min-p leaves what is at least that much as probable as the most probable one', () => {
  expectDistribution(drawMany({ minP: Math.exp(-1.01) }), only([0, 1, 4], softmax(LOGITS)));
  expectDistribution(drawMany({ minP: Math.exp(-0.99) }), only([0, 4], softmax(LOGITS)));
  expectDistribution(drawMany({ minP: 1 }), only([0], softmax(LOGITS)));
});

test('the temperature comes before the cuts', () => {
  const flat = softmax(LOGITS.map((logit) => logit / 4));
  expectDistribution(drawMany({ temperature: 4, minP: Math.exp(-0.3) }), only([0, 1, 4], flat));
});

test('a repetition penalty divides what speaks for a token and multiplies what speaks against it', () => {
  const expected = LOGITS.slice();
  expected[0] = 2 / 1.5;
  expected[3] = -1 * 1.5;
  expectDistribution(drawMany({ repetitionPenalty: 1.5 }, { seen: [0, 3] }), softmax(expected));
});

test('what may not come never does, at any temperature', () => {
  const allowed = Uint32Array.of(0b001010);
  expectDistribution(drawMany({}, { allowed }), only([1, 3], softmax(LOGITS)));
  expect(
    new Set(drawMany({ temperature: 0 }, { allowed }).samples.map(({ token }) => token)),
  ).toEqual(new Set([1]));
  expectDistribution(drawMany({ topK: 1 }, { allowed }), only([1], softmax(LOGITS)));
});

test('the t-th token takes the t-th number, also where there was nothing to draw', () => {
  const two = (first: Partial<TokenSampling>): number => {
    const random = stream({ seed: 7, purpose: 'test.sampling' });
    const state = { random, seen: new Set<number>(), allowed: null };
    sampleToken(next(LOGITS), { ...state, sampling: TokenSampling.parse(first) });
    return sampleToken(next(LOGITS), { ...state, sampling: TokenSampling.parse({}) }).token;
  };
  expect(two({ temperature: 0 })).toBe(two({}));
});

test('large vocabularies are cut as small ones are', () => {
  const random = stream({ seed: 1, purpose: 'test.sampling.large' });
  const logits = Float32Array.from({ length: 50_000 }, () => 12 * random.next());
  const p = softmax(logits);
  const ranked = [...p.keys()].sort((a, b) => (p[b] as number) - (p[a] as number));
  let sum = 0;
  const nucleus = new Set<number>();
  for (const token of ranked) {
    if (sum >= 0.5) break;
    sum += p[token] as number;
    nucleus.add(token);
  }
  const most = new Set(ranked.slice(0, 40));
  const many = (sampling: Partial<TokenSampling>): SampledToken[] =>
    Array.from({ length: 200 }, () =>
      sampleToken(next(logits), {
        sampling: TokenSampling.parse(sampling),
        random,
        seen: new Set(),
        allowed: null,
      }),
    );
  const samples = many({ topP: 0.5 });
  expect(samples.every(({ token }) => nucleus.has(token))).toBe(true);
  const first = samples[0] as SampledToken;
  expect(first.logProb).toBeCloseTo(Math.log((p[first.token] as number) / sum), 4);
  expect(many({ topK: 40 }).every(({ token }) => most.has(token))).toBe(true);
});

test('a penalty halves scores between 0 and 1, too', () => {
  const logits = Float32Array.of(0.5, 0.2, 0);
  const penalized = Float32Array.of(0.25, 0.2, 0);
  expectDistribution(
    drawMany({ repetitionPenalty: 2 }, { logits, seen: [0, 2] }),
    softmax(penalized),
  );
});
