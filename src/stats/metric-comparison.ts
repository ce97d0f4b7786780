import { InvalidInputError } from '../errors';
import { stream } from '../rl/counter-rng';
import type { Estimate } from '../schemas/estimate';
import { estimateMean, orderFreeSum } from './mean-estimate';
import { pairedClusterBootstrap } from './paired-bootstrap';
import { signTest } from './sign-test';
import { tangoLowerBound } from './tango';

/** One task under one metric: the scores of both policies, each averaged over the same number of repeats. */
export interface PairedScore {
  /** Tasks of one cluster rise and fall together, and are resampled together. */
  readonly cluster: string;
  readonly champion: number;
  readonly candidate: number;
}

/** Both policies on the same tasks. Differences are candidate − champion, in the metric's own units. */
export interface Comparison {
  readonly metric: string;
  /** Whether all scores lie in [0, 1], so that differences are points. */
  readonly isShare: boolean;
  readonly tasks: number;
  readonly clusters: number;
  readonly champion: Estimate;
  readonly candidate: Estimate;
  readonly difference: number;
  /** One-sided bound at the gate's confidence: what decides. */
  readonly lower: number;
  /** Two-sided at the same confidence. */
  readonly interval: readonly [number, number];
  /** What `lower` has to exceed. */
  readonly threshold: number;
  readonly passed: boolean;
  /** Tasks whose score rose, and fell. */
  readonly better: number;
  readonly worse: number;
  /** One-sided sign test of better against worse; information only. */
  readonly signTestP: number;
}

export interface CompareOptions {
  readonly metric: string;
  /** Finite, one per task, in at least 2 clusters. */
  readonly rows: readonly PairedScore[];
  readonly threshold: number;
  readonly confidence: number;
  readonly resamples: number;
  readonly seed: number;
}

/**
 * Below this many tasks on one side, the bootstrap knows too little of that side's tail (at 0 it knows nothing: among 50
 * tasks that all stayed the same it would exclude any drop). Ten is the usual rule for a normal approximation of a count.
 */
const RARE = 10;

/** A resampled mean of thirds may miss 0 by a rounding error, and `lower > 0` must not hang on it. */
const ROUNDING = 1e-12;

/** The rule itself: a bound passes by more than a rounding error. */
export function exceeds(lower: number, threshold: number): boolean {
  return lower > threshold + ROUNDING;
}

/**
 * The paired cluster bootstrap of one metric. Where fewer than 10 tasks got worse, and all scores lie in [0, 1], the lower
 * bounds are the smaller of the bootstrap's and Tango's score bound; the same for the upper end of the interval where
 * fewer than 10 got better.
 */
export function compareMetric(options: CompareOptions): Comparison {
  const { metric, rows, threshold, confidence, resamples, seed } = options;
  const pairs = rows.map((row) => ({
    cluster: row.cluster,
    difference: row.candidate - row.champion,
  }));
  const champion = estimateMean(rows.map((row) => row.champion));
  const candidate = estimateMean(rows.map((row) => row.candidate));
  if (champion === null || candidate === null) {
    throw new InvalidInputError(`comparison of ${metric}: expected at least one task, got none`);
  }
  const random = stream({ seed, purpose: 'gate.bootstrap', task: metric });
  const bootstrap = pairedClusterBootstrap({ pairs, confidence, resamples, random });

  const rises = pairs.map(({ difference }) => Math.max(0, difference));
  const falls = pairs.map(({ difference }) => Math.max(0, -difference));
  const better = rises.filter((rise) => rise > 0).length;
  const worse = falls.filter((fall) => fall > 0).length;
  const gains = orderFreeSum(rises);
  const losses = orderFreeSum(falls);
  const isShare = rows.every((row) =>
    [row.champion, row.candidate].every((score) => score >= 0 && score <= 1),
  );
  const tango = (up: number, down: number, level: number): number =>
    tangoLowerBound({ gains: up, losses: down, n: rows.length, confidence: level });
  const atLeast = (bound: number, level: number): number =>
    isShare && worse < RARE ? Math.min(bound, tango(gains, losses, level)) : bound;
  const atMost = (bound: number, level: number): number =>
    isShare && better < RARE ? Math.max(bound, -tango(losses, gains, level)) : bound;

  const lower = atLeast(bootstrap.lower, confidence);
  const twoSided = 1 - (1 - confidence) / 2;
  return {
    metric,
    isShare,
    tasks: bootstrap.tasks,
    clusters: bootstrap.clusters,
    champion,
    candidate,
    difference: bootstrap.difference,
    lower,
    interval: [atLeast(bootstrap.interval[0], twoSided), atMost(bootstrap.interval[1], twoSided)],
    threshold,
    passed: exceeds(lower, threshold),
    better,
    worse,
    signTestP: signTest(better, worse).oneSided,
  };
}
