import { decideGate, type GateRow } from '../src/loop/gate';
import { stream } from '../src/rl/counter-rng';
import { GateConfig } from '../src/schemas/gate-config';

const TASKS = 5_000;
const FAMILIES = 150;
const RESAMPLES = 10_000;
const ROUNDS = 5;

/** One row per task; the candidate is right on 5 points more of them. */
function makeRows(): GateRow[] {
  const random = stream({ seed: 1, purpose: 'bench.gate' });
  return Array.from({ length: TASKS }, (_, i) => {
    const p = random.next();
    return {
      metric: 'resolved',
      taskId: `task-${i}`,
      cluster: `family-${i % FAMILIES}`,
      slice: `slice-${i % 10}`,
      champion: Number(random.next() < p),
      candidate: Number(random.next() < p + 0.05),
    };
  });
}

/**
 * A gate over 5,000 tasks in 150 families with 10,000 resamples, target only (each guardrail adds as much again).
 *
 * @returns `seconds`: median of 5 gates after one to warm up; `memoryMiB`: how far the heap and typed arrays grew at most
 * from before a gate to right after it, the verdict and all garbage not yet collected included.
 */
export async function run(): Promise<Record<string, number>> {
  const rows = makeRows();
  const config = GateConfig.parse({ target: 'resolved', resamples: RESAMPLES });
  const drops = { rollouts: TASKS, drops: {} };
  const once = (seed: number): void => {
    decideGate({ rows, config, seed, drops: { champion: drops, candidate: drops } });
  };
  const usedBytes = (): number => {
    const { heapUsed, arrayBuffers } = process.memoryUsage();
    return heapUsed + arrayBuffers;
  };

  once(0);
  const seconds: number[] = [];
  let grownBytes = 0;
  for (let round = 1; round <= ROUNDS; round++) {
    const before = usedBytes();
    const startedAt = process.hrtime.bigint();
    once(round);
    seconds.push(Number(process.hrtime.bigint() - startedAt) / 1e9);
    grownBytes = Math.max(grownBytes, usedBytes() - before);
  }
  const median = seconds.sort((a, b) => a - b)[Math.floor(ROUNDS / 2)] ?? 0;
  return { seconds: median, memoryMiB: grownBytes / 2 ** 20, tasks: TASKS, resamples: RESAMPLES };
}
