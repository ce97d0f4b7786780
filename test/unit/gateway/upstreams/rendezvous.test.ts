import { rendezvous } from '../../../../src/gateway/upstreams/rendezvous';

interface Target {
  readonly id: string;
  readonly weight: number;
}
const order = (key: string, targets: readonly Target[]): string[] =>
  rendezvous(key, targets, (target) => target).map(({ id }) => id);
const TARGETS = [
  { id: 'a', weight: 1 },
  { id: 'b', weight: 2 },
  { id: 'c', weight: 1 },
];
const KEYS = Array.from({ length: 4_000 }, (_, i) => `session-${i}`);

test('a key always has the same order, however the targets are listed', () => {
  for (const key of KEYS.slice(0, 50)) {
    expect(order(key, [...TARGETS].reverse())).toEqual(order(key, TARGETS));
  }
});

test('each target comes first as often as its weight says', () => {
  const firsts = KEYS.map((key) => order(key, TARGETS)[0]);
  const share = (id: string): number => firsts.filter((first) => first === id).length / KEYS.length;
  // Three standard errors of a share over 4,000 keys are 0.024.
  expect(Math.abs(share('a') - 0.25)).toBeLessThan(0.024);
  expect(Math.abs(share('b') - 0.5)).toBeLessThan(0.024);
});

test('without one target only the keys move that were there, and they spread over the others', () => {
  const rest = TARGETS.filter(({ id }) => id !== 'b');
  const moved = new Set<string | undefined>();
  for (const key of KEYS.slice(0, 500)) {
    const [first] = order(key, TARGETS);
    const [now] = order(key, rest);
    if (first === 'b') moved.add(now);
    else expect(now).toBe(first);
  }
  expect(moved).toEqual(new Set(['a', 'c']));
});
