import { InvalidInputError } from '../errors';
import { normalCdf, normalQuantile } from './distributions';

/**
 * How much a gate of a given size can see, before anyone pays for it.
 *
 * Model: d_i is task i's difference of means over k repeats; Var(d) = deff·(2·w/k + τ²), SE = √(Var(d)/n).
 *   power = Φ(δ/SE − z_conf),   smallest detectable δ = (z_conf + z_power)·SE,   n = Var(d)·((z_conf + z_power)/δ)².
 * Normal approximation; Miller 2024, arXiv:2411.00640. Left out: ceilings (a task that always succeeds cannot
 * improve: about −2 points of power at +5), and small numbers of clusters.
 */
export interface GateDesign {
  readonly tasks: number;
  readonly repeats: number;
  /** w = E[p(1−p)] within a task; default 0.2: difficulties Beta(2, 2). 0/1 tasks that never vary: 0, all in τ². */
  readonly withinTaskVariance?: number;
  /** τ²: variance over tasks of the true effect; default 0: the same for every task. */
  readonly effectVariance?: number;
  /** deff = 1 + (m − 1)·ρ for clusters of m tasks with intra-cluster correlation ρ; default 1. */
  readonly designEffect?: number;
  /** One-sided; default 0.95. */
  readonly confidence?: number;
}

function varianceOfDifference(design: Omit<GateDesign, 'tasks'>): number {
  const { repeats, withinTaskVariance = 0.2, effectVariance = 0, designEffect = 1 } = design;
  if (!(repeats >= 1 && withinTaskVariance >= 0 && effectVariance >= 0 && designEffect > 0)) {
    throw new InvalidInputError(
      'power: expected repeats >= 1, variances >= 0 and a design effect > 0, got ' +
        `repeats ${repeats}, variances ${withinTaskVariance} and ${effectVariance}, design effect ${designEffect}`,
    );
  }
  return designEffect * ((2 * withinTaskVariance) / repeats + effectVariance);
}

function standardError(design: GateDesign): number {
  if (!(design.tasks >= 1)) {
    throw new InvalidInputError(`power: expected at least one task, got ${design.tasks}`);
  }
  return Math.sqrt(varianceOfDifference(design) / design.tasks);
}

/** Probability that the lower bound of a true difference `effect` lies above 0 (for a guardrail: effect + margin). */
export function gatePower(design: GateDesign & { readonly effect: number }): number {
  const z = normalQuantile(design.confidence ?? 0.95);
  const error = standardError(design);
  if (error === 0) return design.effect > 0 ? 1 : 0;
  return normalCdf(design.effect / error - z);
}

/** The smallest true difference that passes with probability `power` (default 0.8). */
export function minimumDetectableEffect(design: GateDesign & { readonly power?: number }): number {
  const z = normalQuantile(design.confidence ?? 0.95) + normalQuantile(design.power ?? 0.8);
  return z * standardError(design);
}

/** Tasks that a true difference `effect` > 0 needs to pass with probability `power` (default 0.8). */
export function neededTasks(
  design: Omit<GateDesign, 'tasks'> & { readonly effect: number; readonly power?: number },
): number {
  if (!(design.effect > 0)) {
    throw new InvalidInputError(`power: expected an effect above 0, got ${design.effect}`);
  }
  const z = normalQuantile(design.confidence ?? 0.95) + normalQuantile(design.power ?? 0.8);
  return Math.max(1, Math.ceil(varianceOfDifference(design) * (z / design.effect) ** 2));
}
