import { InvalidInputError, NumericalError } from '../errors';
import type { RandomStream } from '../rl/counter-rng';
import { normalCdf, studentTQuantile } from './distributions';

/** One task: d = mean over repeats of the candidate's score − the same of the champion's. */
export interface Pair {
  readonly cluster: string;
  readonly difference: number;
}

export interface BootstrapOptions {
  readonly pairs: readonly Pair[];
  /** Of the one-sided bound, and of the two-sided interval. */
  readonly confidence: number;
  readonly resamples: number;
  readonly random: RandomStream;
}

export interface BootstrapResult {
  /** Mean of d over tasks. */
  readonly difference: number;
  /** One-sided: the true mean lies above it with the given confidence. */
  readonly lower: number;
  /** Two-sided, same confidence. */
  readonly interval: readonly [number, number];
  readonly tasks: number;
  readonly clusters: number;
}

/**
 * The tail probability at which the bootstrap distribution is read. Resampling G clusters understates the spread by
 * √((G−1)/G) and knows no t distribution, so plain percentiles err too often for small G (7.7 % instead of 5 % at G = 10).
 * Expanded percentiles: α' = Φ(−√(G/(G−1))·t_{1−α, G−1}), Hesterberg 2015, doi:10.1080/00031305.2015.1089789.
 */
export function expandedTail(alpha: number, clusters: number): number {
  const t = studentTQuantile(1 - alpha, clusters - 1);
  return normalCdf(-Math.sqrt(clusters / (clusters - 1)) * t);
}

/**
 * Sum and size of each cluster, in an order that depends on neither the order of the rows nor the clusters' names: the
 * same evidence gives the same bound to the last bit.
 */
function clusterTotals(pairs: readonly Pair[]): { sums: Float64Array; counts: Float64Array } {
  const byCluster = new Map<string, number[]>();
  for (const { cluster, difference } of pairs) {
    const members = byCluster.get(cluster);
    if (members === undefined) byCluster.set(cluster, [difference]);
    else members.push(difference);
  }
  const totals = [...byCluster.values()]
    .map((members) => ({
      count: members.length,
      sum: members.sort((a, b) => a - b).reduce((sum, value) => sum + value, 0),
    }))
    .sort((a, b) => a.count - b.count || a.sum - b.sum);
  return {
    sums: Float64Array.from(totals, ({ sum }) => sum),
    counts: Float64Array.from(totals, ({ count }) => count),
  };
}

/**
 * Paired cluster bootstrap of the mean difference over tasks.
 *
 * Clusters are drawn with replacement, G of G, each with all its tasks; a resample's statistic is Σd / Σtasks. The lower
 * bound is the ⌊(R + 1)·α'⌋-th smallest of R resampled means (Davison and Hinkley 1997, ch. 5: the conservative
 * order statistic, not an interpolation), with α' of `expandedTail`. Why clusters: Miller 2024, arXiv:2411.00640 (naive
 * standard errors can be three times too small). Time O(R·G), memory 8·R bytes beside the input.
 *
 * Left out: bias correction and acceleration (BCa). Where hardly any task changed the bootstrap sees no spread and is
 * overconfident: see tango.ts.
 *
 * @throws {InvalidInputError} for fewer than 2 clusters, or too few resamples to reach the tail.
 * @throws {NumericalError} if a difference is not finite.
 */
export function pairedClusterBootstrap(options: BootstrapOptions): BootstrapResult {
  const { pairs, confidence, resamples, random } = options;
  if (!pairs.every(({ difference }) => Number.isFinite(difference))) {
    throw new NumericalError(
      'paired bootstrap: expected finite differences, got NaN or an infinity',
    );
  }
  const { sums, counts } = clusterTotals(pairs);
  const clusters = sums.length;
  if (clusters < 2) {
    throw new InvalidInputError(
      `paired bootstrap: expected at least 2 clusters to resample, got ${clusters}`,
    );
  }
  const rank = Math.floor((resamples + 1) * expandedTail(1 - confidence, clusters));
  if (rank < 1) {
    throw new InvalidInputError(
      `paired bootstrap: ${resamples} resamples do not reach the tail of confidence ${confidence} ` +
        `with ${clusters} clusters; take more resamples`,
    );
  }

  const means = new Float64Array(resamples); // float64 [R]
  for (let r = 0; r < resamples; r++) {
    let sum = 0;
    let count = 0;
    for (let g = 0; g < clusters; g++) {
      const drawn = random.below(clusters);
      sum += sums[drawn] as number; // below(clusters) is in range
      count += counts[drawn] as number;
    }
    means[r] = sum / count;
  }
  means.sort();

  const tail = expandedTail((1 - confidence) / 2, clusters);
  const twoSidedRank = Math.max(1, Math.floor((resamples + 1) * tail)); // at worst the extremes
  return {
    difference: sums.reduce((a, b) => a + b, 0) / pairs.length,
    lower: means[rank - 1] as number, // 1 <= rank <= R
    interval: [means[twoSidedRank - 1] as number, means[resamples - twoSidedRank] as number],
    tasks: pairs.length,
    clusters,
  };
}
