import { z } from 'zod';
import type { RandomStream } from '../../../rl/counter-rng';
import type { NextToken } from './decoder';

/** How a token is drawn from a model's logits. The steps happen in transformers' order: penalty, temperature, top-k, top-p, min-p. */
export const TokenSampling = z.strictObject({
  /** Divides the logits; 0 takes the most probable token. */
  temperature: z.number().min(0).max(10).default(1),
  /** Only the k most probable tokens; 0: all. */
  topK: z.int().min(0).default(0),
  /** Only the fewest most probable tokens that have this much probability. Holtzman et al. 2020, arXiv:1904.09751. */
  topP: z.number().gt(0).max(1).default(1),
  /** Only tokens at least this much as probable as the most probable one. Nguyen et al. 2024, arXiv:2407.01082. */
  minP: z.number().min(0).max(1).default(0),
  /** Divides positive logits of tokens that were read or written before, and multiplies negative ones. Keskar et al. 2019, arXiv:1909.05858. */
  repetitionPenalty: z.number().positive().max(10).default(1),
});
export type TokenSampling = z.infer<typeof TokenSampling>;

/** A token and how probable it was. */
export interface SampledToken {
  readonly token: number;
  /** ln of the probability that it was drawn with, after all of the above; 0 where there was only one. */
  readonly logProb: number;
  /** ln π(token | what is before it) by the model itself: no penalty, no temperature, no cut. */
  readonly rawLogProb: number;
}

/** What a draw depends on besides the logits. */
export interface SamplingState {
  readonly sampling: TokenSampling;
  /** Gives one number per token that is drawn. */
  readonly random: RandomStream;
  /** Tokens that the repetition penalty is for. */
  readonly seen: ReadonlySet<number>;
  /** Bit i % 32 of word i >> 5: whether token i may come; null: each may. At least one does. */
  readonly allowed: Uint32Array | null;
}

/**
 * Draws a token. The same logits and the same state of the random numbers give the same token, whatever else runs.
 *
 * @param next its logits are not modified.
 */
export function sampleToken(
  { logits, normalizer: rawNormalizer }: NextToken,
  state: SamplingState,
): SampledToken {
  const { sampling, random, allowed } = state;
  const u = random.next(); // taken in any case: token t always has the stream's number t
  const scores =
    allowed === null && sampling.repetitionPenalty === 1 ? logits : adjusted(logits, state);
  const give = (token: number, logProb: number): SampledToken => ({
    token,
    logProb,
    rawLogProb: (logits[token] as number) - rawNormalizer,
  });
  if (sampling.temperature === 0) return give(mostProbable(scores), 0);

  const { temperature, topK, topP, minP } = sampling;
  const isCut = (topK > 0 && topK < scores.length) || topP < 1 || minP > 0;
  const normalizer =
    scores === logits && temperature === 1 ? rawNormalizer : logNormalizer(scores, temperature);
  if (!isCut) {
    const token = draw(scores, temperature, normalizer, u);
    return give(token, (scores[token] as number) / temperature - normalizer);
  }
  const kept = cut(scores, { temperature, topK, topP, minP, normalizer });
  const [chosen, logProb] = drawFrom(kept, u);
  return give(chosen, logProb);
}

/** Logits with the penalty applied, and −∞ for tokens that may not come. */
function adjusted(logits: Float32Array, { sampling, seen, allowed }: SamplingState): Float32Array {
  const scores = logits.slice();
  const penalty = sampling.repetitionPenalty;
  if (penalty !== 1) {
    for (const token of seen) {
      const score = scores[token] as number;
      scores[token] = score > 0 ? score / penalty : score * penalty;
    }
  }
  if (allowed !== null) {
    for (let token = 0; token < scores.length; token++) {
      if ((((allowed[token >> 5] ?? 0) >>> (token & 31)) & 1) === 0) scores[token] = -Infinity;
    }
  }
  return scores;
}

/** The first of the largest. */
function mostProbable(scores: Float32Array): number {
  let best = 0;
  for (let i = 1; i < scores.length; i++) {
    if ((scores[i] as number) > (scores[best] as number)) best = i;
  }
  return best;
}

/** ln Σ exp(score / temperature). */
function logNormalizer(scores: Float32Array, temperature: number): number {
  let largest = -Infinity;
  for (let i = 0; i < scores.length; i++) {
    if ((scores[i] as number) > largest) largest = scores[i] as number;
  }
  let sum = 0;
  for (let i = 0; i < scores.length; i++) {
    sum += Math.exp(((scores[i] as number) - largest) / temperature);
  }
  return largest / temperature + Math.log(sum);
}

function draw(scores: Float32Array, temperature: number, normalizer: number, u: number): number {
  let cumulative = 0;
  let last = 0;
  for (let i = 0; i < scores.length; i++) {
    const probability = Math.exp((scores[i] as number) / temperature - normalizer);
    if (probability === 0) continue;
    cumulative += probability;
    last = i;
    if (u < cumulative) return i;
  }
  return last; // the sum rounded to less than u
}

/** Tokens that are left, the most probable first, and ln of what each had. */
interface Kept {
  readonly tokens: readonly number[];
  readonly logProbs: readonly number[];
}

interface Cut {
  readonly temperature: number;
  readonly topK: number;
  readonly topP: number;
  readonly minP: number;
  readonly normalizer: number;
}

function cut(scores: Float32Array, { temperature, topK, topP, minP, normalizer }: Cut): Kept {
  const logProbOf = (token: number): number => (scores[token] as number) / temperature - normalizer;
  // Sorting a whole vocabulary for each token is what is slow. What is less probable than (1 − p)/V has less than 1 − p together, so
  // the nucleus is above it; and what falls below the k-th or below min-p is out in any case.
  const size = scores.length;
  const largest = logProbOf(mostProbable(scores));
  const minFloor = minP > 0 ? largest + Math.log(minP) : -Infinity;
  const isByRank = topK > 0 && topK < size;
  // After top-k the rest is normalized again, before top-p and min-p: only without it their floors hold for all.
  const floor = isByRank
    ? kthLargest(scores, topK) / temperature - normalizer - 1e-9
    : Math.max(minFloor, topP < 1 ? Math.log((1 - topP) / size) : -Infinity);
  const candidates: number[] = [];
  for (let token = 0; token < size; token++) {
    if (logProbOf(token) >= floor && (scores[token] as number) > -Infinity) candidates.push(token);
  }
  candidates.sort((a, b) => (scores[b] as number) - (scores[a] as number) || a - b);
  const ranked = isByRank ? candidates.slice(0, topK) : candidates;
  const total = isByRank
    ? Math.log(ranked.reduce((sum, token) => sum + Math.exp(logProbOf(token)), 0))
    : 0;
  let count = ranked.length;
  if (topP < 1) {
    let cumulative = 0;
    count = 0;
    for (const token of ranked) {
      if (count > 0 && cumulative >= topP) break;
      cumulative += Math.exp(logProbOf(token) - total);
      count++;
    }
  }
  const tokens = ranked.slice(0, count).filter((token) => logProbOf(token) >= minFloor);
  return { tokens, logProbs: tokens.map(logProbOf) };
}

/** By a heap of k: V log k at worst, and about V where k is small. */
function kthLargest(scores: Float32Array, k: number): number {
  const heap = new Float32Array(k).fill(-Infinity); // the smallest of the k largest on top
  for (let i = 0; i < scores.length; i++) {
    const score = scores[i] as number;
    if (score <= (heap[0] as number)) continue;
    let at = 0;
    for (;;) {
      const left = 2 * at + 1;
      if (left >= k) break;
      const right = left + 1;
      const smaller = right < k && (heap[right] as number) < (heap[left] as number) ? right : left;
      if ((heap[smaller] as number) >= score) break;
      heap[at] = heap[smaller] as number;
      at = smaller;
    }
    heap[at] = score;
  }
  return heap[0] as number;
}

function drawFrom(
  { tokens, logProbs }: Kept,
  u: number,
): readonly [token: number, logProb: number] {
  const total = logProbs.reduce((sum, logProb) => sum + Math.exp(logProb), 0);
  const normalizer = Math.log(total);
  let cumulative = 0;
  for (let i = 0; i < tokens.length; i++) {
    cumulative += Math.exp(logProbs[i] as number) / total;
    if (u < cumulative || i === tokens.length - 1) {
      return [tokens[i] as number, tokens.length === 1 ? 0 : (logProbs[i] as number) - normalizer];
    }
  }
  return [tokens[0] as number, 0];
}
