import type { Node } from '../autodiff/graph';
import type { GraphBuilder } from '../autodiff/graph-builder';

/** |log π_ref − log π| is cut here: its exponential is summed. */
const MAX_DIFFERENCE = 20;

/**
 * Estimate of KL(π ‖ π_ref) per sample, k3 = e^d − d − 1 with d = log π_ref − log π: never negative, and unbiased for samples of π.
 * http://joschu.net/blog/kl-approx.html
 *
 * @param logProbs log π, [n]. @param referenceLogProbs log π_ref, [n].
 */
export function klEstimate(b: GraphBuilder, logProbs: Node, referenceLogProbs: Node): Node {
  const d = b.clip(b.sub(referenceLogProbs, logProbs), -MAX_DIFFERENCE, MAX_DIFFERENCE);
  return b.addScalar(b.sub(b.exp(d), d), -1);
}

/**
 * The same as a penalty: r·k3. Samples are of μ and not of π, and k3's own gradient is not that of the KL; weighted with r = π/μ, whose gradient counts too,
 * both are right: ∇(r·k3) = r·(log π − log π_ref)·∇log π, whose mean over μ is ∇KL. DeepSeek-V3.2, arXiv:2512.02556, §3.1.
 *
 * @param ratio π/μ, [n].
 */
export function klPenalty(
  b: GraphBuilder,
  logProbs: Node,
  referenceLogProbs: Node,
  ratio: Node,
): Node {
  return b.mul(ratio, klEstimate(b, logProbs, referenceLogProbs));
}
