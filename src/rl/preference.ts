export interface PreferencePair {
  /** Σ log π of the better answer's tokens, and of the worse one's. */
  readonly chosen: number;
  readonly rejected: number;
  /** The same under the reference. */
  readonly referenceChosen: number;
  readonly referenceRejected: number;
}

export interface PreferenceLoss {
  readonly loss: number;
  /** ∂loss / ∂ Σ log π of the better answer; of the worse one it is the negative. */
  readonly weight: number;
  /** β·(log-ratio of the better − that of the worse): above 0, the policy tells them apart. */
  readonly margin: number;
}

/**
 * Direct preference optimization: −log σ(m), m = β·[(log π(y_w) − log π_ref(y_w)) − (log π(y_l) − log π_ref(y_l))]. Rafailov et al. 2023,
 * arXiv:2305.18290, eq. 7. With label smoothing ε, −(1−ε)·log σ(m) − ε·log σ(−m): "conservative DPO", https://ericmitchell.ai/cdpo.pdf.
 */
export function preferenceLoss(
  { chosen, rejected, referenceChosen, referenceRejected }: PreferencePair,
  { beta, labelSmoothing = 0 }: { readonly beta: number; readonly labelSmoothing?: number },
): PreferenceLoss {
  const margin = beta * (chosen - referenceChosen - (rejected - referenceRejected));
  const loss = (1 - labelSmoothing) * softplus(-margin) + labelSmoothing * softplus(margin);
  const slope = -(1 - labelSmoothing) * sigmoid(-margin) + labelSmoothing * sigmoid(margin);
  return { loss, weight: beta * slope, margin };
}

/** log(1 + eˣ), without overflow. */
function softplus(x: number): number {
  return Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)));
}

function sigmoid(x: number): number {
  return x >= 0 ? 1 / (1 + Math.exp(-x)) : Math.exp(x) / (1 + Math.exp(x));
}
