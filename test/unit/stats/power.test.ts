import { gatePower, minimumDetectableEffect, neededTasks } from '../../../src/stats/power';

// Simulated for difficulties Beta(2, 2) and a true rise of 5 points (clipped at 1, which costs about 2 points of power).
test.each([
  [100, 1, 0.19],
  [100, 4, 0.46],
  [200, 4, 0.72],
  [400, 4, 0.92],
])(
  '%p tasks with %p repeats see a rise of 5 points as often as simulated: %p',
  (tasks, repeats, power) => {
    expect(Math.abs(gatePower({ tasks, repeats, effect: 0.05 }) - power)).toBeLessThan(0.03);
  },
);

test('needed tasks, detectable effect and power agree with each other', () => {
  const design = { repeats: 4, effectVariance: 0.01, designEffect: 1.5, confidence: 0.95 };
  const tasks = neededTasks({ ...design, effect: 0.05, power: 0.9 });
  expect(gatePower({ ...design, tasks, effect: 0.05 })).toBeGreaterThanOrEqual(0.9);
  expect(gatePower({ ...design, tasks: tasks - 1, effect: 0.05 })).toBeLessThan(0.9);
  const effect = minimumDetectableEffect({ ...design, tasks, power: 0.9 });
  expect(effect).toBeLessThanOrEqual(0.05);
  expect(effect).toBeGreaterThan(0.0499);
});

test('without any variance every effect is seen, and none is not', () => {
  const design = { tasks: 10, repeats: 1, withinTaskVariance: 0 };
  expect(gatePower({ ...design, effect: 0.001 })).toBe(1);
  expect(gatePower({ ...design, effect: 0 })).toBe(0);
});

test('designs that make no sense are refused', () => {
  expect(() => neededTasks({ repeats: 1, effect: 0 })).toThrow(/above 0/);
  expect(() => gatePower({ tasks: 0, repeats: 1, effect: 0.1 })).toThrow(/at least one task/);
  expect(() => gatePower({ tasks: 9, repeats: 0, effect: 0.1 })).toThrow(/repeats >= 1/);
});
