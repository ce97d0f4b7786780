import type { Node } from '../autodiff/graph';
import type { GraphBuilder } from '../autodiff/graph-builder';

/**
 * What each arm is worth, by itself: per row, the logistic regression of the rewards of the arms that were taken,
 *
 *   Σ_a [ earned(a) · −log σ(z_a) + missed(a) · −log(1 − σ(z_a)) ].
 *
 * It is least where σ(z_a) is the arm's mean reward, whichever arms were taken how often: no propensity is needed, and arms that are
 * nearly as good as each other are told apart by their own rewards, not by who drew the better queries (the "direct method" of off-policy
 * learning, Dudík et al. 2011, arXiv:1103.4601). A softmax over z then takes arms by their odds of success.
 *
 * @param logits z, [B, A]. @param earned sum of the arm's rewards, [B, A], >= 0. @param missed how often it was taken, less that.
 * @returns [B], in nats.
 */
export function armValues(b: GraphBuilder, logits: Node, earned: Node, missed: Node): Node {
  const terms = b.add(
    b.mul(earned, softplus(b, b.neg(logits))),
    b.mul(missed, softplus(b, logits)),
  );
  return b.reduceSum(terms, [1], { keepdims: false });
}

/** log(1 + e^x) = max(x, 0) + log(1 + e^−|x|): nothing overflows. */
function softplus(b: GraphBuilder, x: Node): Node {
  const rest = b.log(b.addScalar(b.exp(b.neg(b.abs(x))), 1));
  return b.add(b.max(x, 0), rest);
}
