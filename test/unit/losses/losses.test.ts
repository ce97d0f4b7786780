import { crossEntropy, smoothLabels } from '../../../src/losses/cross-entropy';
import { entropy } from '../../../src/losses/entropy';
import { maskedLogSoftmax } from '../../../src/losses/masked-log-softmax';
import { policyGradient } from '../../../src/losses/policy-gradient';
import { weightedMean } from '../../../src/losses/weighted-mean';
import { armValues } from '../../../src/losses/arm-values';
import { wrongArms } from '../../../src/losses/wrong-arms';
import { bool, evaluateLoss, expectClose, float64, int64, softmax } from './evaluate-loss';

const LOGITS = [
  [0.5, -1, 2],
  [1, 1.5, -0.5],
];
const P = LOGITS.map(softmax) as [[number, number, number], [number, number, number]];

test('masked arms have probability 0, and the others are as if they were not there', () => {
  const { logProbs, gradient } = evaluateLoss([[0.5, 9, 2]], (b, x) => ({
    logProbs: maskedLogSoftmax(b, x, bool(b, [1, 3], [1, 0, 1])),
  }));
  const [p0, p2] = softmax([0.5, 2]) as [number, number];
  expect(logProbs?.map(Math.exp)[1]).toBe(0);
  expectClose([logProbs?.[0] as number, logProbs?.[2] as number], [Math.log(p0), Math.log(p2)]);
  expect(gradient?.[1]).toBe(0);
});

test('cross-entropy is −Σ q log p per row, with gradient p − q', () => {
  const q = [0, 0.25, 0.75, 1, 0, 0];
  const { loss, gradient } = evaluateLoss(LOGITS, (b, x) => ({
    loss: crossEntropy(b, b.logSoftmax(x), float64(b, [2, 3], q)),
  }));
  expectClose(loss, [-0.25 * Math.log(P[0][1]) - 0.75 * Math.log(P[0][2]), -Math.log(P[1][0])]);
  expectClose(
    gradient,
    P.flat().map((p, i) => p - (q[i] as number)),
  );
});

test('cross-entropy over available arms stays finite where masked arms have no target', () => {
  const { loss } = evaluateLoss([[0.5, 9, 2]], (b, x) => ({
    loss: crossEntropy(
      b,
      maskedLogSoftmax(b, x, bool(b, [1, 3], [1, 0, 1])),
      float64(b, [1, 3], [0, 0, 1]),
    ),
  }));
  expectClose(loss, [-Math.log(softmax([0.5, 2])[1] as number)]);
});

test('label smoothing spreads over available arms only, and leaves a row without target alone', () => {
  const { smoothed } = evaluateLoss(LOGITS, (b, x) => ({
    smoothed: b.add(
      b.scale(x, 0),
      smoothLabels(
        b,
        float64(b, [2, 3], [1, 0, 0, 0, 0, 0]),
        bool(b, [2, 3], [1, 0, 1, 1, 1, 1]),
        0.2,
      ),
    ),
  }));
  expectClose(smoothed, [0.9, 0, 0.1, 0, 0, 0]);
});

test('label smoothing leaves a row with one available arm as it is', () => {
  const { smoothed } = evaluateLoss([[1, 2]], (b, x) => ({
    smoothed: b.add(
      b.scale(x, 0),
      smoothLabels(b, float64(b, [1, 2], [1, 0]), bool(b, [1, 2], [1, 0]), 0.2),
    ),
  }));
  expectClose(smoothed, [1, 0]);
});

test('wrong arms cost −log(1 − 0.999 p), p their probability together', () => {
  const { loss, gradient } = evaluateLoss(LOGITS, (b, x) => ({
    loss: wrongArms(b, b.logSoftmax(x), float64(b, [2, 3], [1, 0.5, 0, 0, 0, 0])),
  }));
  const p = P[0][0] + 0.5 * P[0][1];
  expectClose(loss, [-Math.log(1 - 0.999 * p), 0]);
  const dp = 0.999 / (1 - 0.999 * p);
  expectClose(gradient, [
    P[0][0] * (1 - p) * dp,
    P[0][1] * (0.5 - p) * dp,
    -P[0][2] * p * dp,
    0,
    0,
    0,
  ]);
});

test('a policy that is sure of a wrong arm has a bounded loss, and still a gradient', () => {
  const { loss, gradient } = evaluateLoss([[60, 0, 0]], (b, x) => ({
    loss: wrongArms(b, b.logSoftmax(x), float64(b, [1, 3], [1, 0, 0])),
  }));
  expectClose(loss, [-Math.log(0.001)]);
  expect(gradient?.every(Number.isFinite)).toBe(true);
  const { gradient: atTen } = evaluateLoss([[10, 0, 0]], (b, x) => ({
    loss: wrongArms(b, b.logSoftmax(x), float64(b, [1, 3], [1, 0, 0])),
  }));
  expect(atTen?.[0]).toBeGreaterThan(0.05); // p = 0.9999: a clamp would give 0
});

/** −min(r·Â, clip(r)·Â) with ε = 0.2 for one row each, taking arm 2 and arm 0. */
function pg(
  propensities: [number, number],
  advantages: [number, number],
): ReturnType<typeof evaluateLoss> {
  return evaluateLoss(LOGITS, (b, x) => {
    const { loss, approxKl, clipFraction } = policyGradient(b, b.logSoftmax(x), {
      arms: int64(b, [2, 1], [2, 0]),
      logPropensities: float64(b, [2], propensities.map(Math.log)),
      advantages: float64(b, [2], advantages),
      clip: 0.2,
    });
    return { loss, approxKl, clipFraction };
  });
}

test('on policy, the policy gradient is REINFORCE: −Â ∇log π', () => {
  const { loss, gradient, approxKl, clipFraction } = pg([P[0][2], P[1][0]], [1.5, -2]);
  expectClose(loss, [-1.5, 2]);
  expectClose(gradient, [
    ...P[0].map((p, a) => -1.5 * (Number(a === 2) - p)),
    ...P[1].map((p, a) => 2 * (Number(a === 0) - p)),
  ]);
  expectClose(approxKl, [0, 0]);
  expectClose(clipFraction, [0, 0]);
});

test('a ratio that went too far in the direction of the advantage is clipped and has no gradient', () => {
  const { loss, gradient, clipFraction } = pg([P[0][2] / 2, P[1][0] * 2], [1.5, -2]); // ratios 2 and 0.5
  expectClose(loss, [-1.2 * 1.5, 0.8 * 2]);
  expectClose(gradient, [0, 0, 0, 0, 0, 0]);
  expectClose(clipFraction, [1, 1]);
});

test('a ratio that went too far against the advantage is not clipped', () => {
  const { loss, approxKl } = pg([P[0][2] / 2, P[1][0] * 2], [-1.5, 2]);
  expectClose(loss, [3, -1]);
  expectClose(approxKl, [2 - 1 - Math.log(2), 0.5 - 1 - Math.log(0.5)]); // k3
});

test('entropy is −Σ p log p, at most log of the number of available arms', () => {
  const { h } = evaluateLoss([...LOGITS, [3, 3, 3]], (b, x) => ({
    h: entropy(b, maskedLogSoftmax(b, x, bool(b, [3, 3], [1, 1, 1, 1, 1, 1, 1, 0, 1]))),
  }));
  expectClose(h, [...P.map((p) => -p.reduce((sum, q) => sum + q * Math.log(q), 0)), Math.log(2)]);
});

test('a weighted mean divides by the weights, or by the denominator of a larger batch; an empty batch gives 0', () => {
  const { mean, part, empty } = evaluateLoss([[1], [3], [100]], (b, x) => {
    const values = b.reshape(x, [3]);
    const weights = float64(b, [3], [1, 2, 0]);
    return {
      mean: weightedMean(b, values, weights),
      part: weightedMean(b, values, weights, b.scalar(10, 'float64')),
      empty: weightedMean(b, values, b.zeros([3], 'float64')),
    };
  });
  expectClose([...(mean ?? []), ...(part ?? []), ...(empty ?? [])], [7 / 3, 0.7, 0]);
});

test('what an arm is worth: least where its sigmoid is its mean reward, whatever the other arms are', () => {
  const logit = (p: number): number => Math.log(p / (1 - p));
  const earned = [1.5, 0, 0, 2];
  const missed = [0.5, 0, 1, 0];
  const at = (x: readonly (readonly number[])[]) =>
    evaluateLoss(x, (b, z) => ({
      loss: armValues(b, z, float64(b, [2, 2], earned), float64(b, [2, 2], missed)),
    }));
  const z = [
    [logit(0.75), 3],
    [-1, 2],
  ];
  const { loss, gradient } = at(z);
  const sigma = (x: number): number => 1 / (1 + Math.exp(-x));
  expectClose(loss, [
    -1.5 * Math.log(0.75) - 0.5 * Math.log(0.25),
    -Math.log(1 - sigma(-1)) - 2 * Math.log(sigma(2)),
  ]);
  // d/dz = taken · σ(z) − earned: 0 at the mean reward, 0 for an arm that was never taken.
  expectClose(gradient, [0, 0, sigma(-1), 2 * sigma(2) - 2]);
});

test('what an arm is worth stays finite for logits of any size', () => {
  const { loss, gradient } = evaluateLoss([[1e4, -1e4, 0]], (b, z) => ({
    loss: armValues(b, z, float64(b, [1, 3], [0, 1, 1]), float64(b, [1, 3], [1, 0, 1])),
  }));
  expectClose(loss, [2e4 + 2 * Math.log(2)]);
  expectClose(gradient, [1, -1, 0]);
});
