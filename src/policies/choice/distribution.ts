import { InvalidInputError } from '../../errors';
import { categorical } from '../../rl/counter-rng';

/** What was drawn: an index into the arms, and π(arm) under exactly the distribution that it was drawn from. */
export interface Draw {
  readonly arm: number;
  readonly propensity: number;
}

/**
 * The distribution that a choice policy acts by, over the available arms:
 *
 *   π(a) = (1 − ε) · softmax(z / temperature)(a) + ε / n,   n = number of available arms, ε = `floor`.
 *
 * Temperature 0 is its limit without the floor: all mass on the largest logit, the first of equals.
 *
 * @param logits z, one per arm (float32 as the network gave them; the arithmetic here is float64).
 * @param available indices of the arms that the request can take, ascending.
 * @returns one probability per entry of `available`; they sum to 1 up to rounding.
 */
export function actingDistribution(
  logits: Float32Array,
  available: Int32Array,
  { temperature, floor }: { readonly temperature: number; readonly floor: number },
): Float64Array {
  if (available.length === 0) throw new InvalidInputError('there is no arm to choose from');
  const n = available.length;
  let best = 0;
  for (let i = 1; i < n; i++) {
    if (logitOf(logits, available, i) > logitOf(logits, available, best)) best = i;
  }
  const p = new Float64Array(n);
  if (temperature === 0) {
    p[best] = 1;
    return p;
  }
  const max = logitOf(logits, available, best);
  let sum = 0;
  for (let i = 0; i < n; i++) {
    const e = Math.exp((logitOf(logits, available, i) - max) / temperature);
    p[i] = e;
    sum += e;
  }
  for (let i = 0; i < n; i++) p[i] = ((1 - floor) * (p[i] as number)) / sum + floor / n;
  return p;
}

function logitOf(logits: Float32Array, available: Int32Array, i: number): number {
  return logits[available[i] as number] as number;
}

/**
 * Draws an arm. The propensity is the drawn arm's own probability. At temperature 0 it is 1: the decision was certain, and
 * says nothing about any other arm, so off-policy estimates must not use it.
 *
 * @param uniform from [0, 1).
 */
export function draw(p: Float64Array, available: Int32Array, uniform: number): Draw {
  const drawn = categorical(p, uniform);
  return { arm: available[drawn] as number, propensity: Math.min(1, p[drawn] as number) };
}
