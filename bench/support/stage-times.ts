/** One activity, or the same function called without Temporal: when it was asked for and when its result was there, in milliseconds. */
export interface StageInterval {
  readonly stage: string;
  readonly startMs: number;
  readonly endMs: number;
}

export interface StageTimes {
  /** From the first beginning to the last end. */
  readonly totalMs: number;
  /** Time during which at least one activity of the stage was under way: shards that run side by side count once. */
  readonly stages: Readonly<Record<string, number>>;
  /** Time in which nothing was under way: what lies between two stages. */
  readonly betweenMs: number;
}

/** @param intervals not empty, in any order. */
export function stageTimes(intervals: readonly StageInterval[]): StageTimes {
  const totalMs =
    Math.max(...intervals.map(({ endMs }) => endMs)) -
    Math.min(...intervals.map(({ startMs }) => startMs));
  const names = [...new Set(intervals.map(({ stage }) => stage))];
  const stages = Object.fromEntries(
    names.map((name) => [name, unionMs(intervals.filter(({ stage }) => stage === name))]),
  );
  return { totalMs, stages, betweenMs: totalMs - unionMs(intervals) };
}

function unionMs(intervals: readonly StageInterval[]): number {
  let sum = 0;
  let reached = -Infinity;
  for (const { startMs, endMs } of [...intervals].sort((a, b) => a.startMs - b.startMs)) {
    sum += Math.max(0, endMs - Math.max(startMs, reached));
    reached = Math.max(reached, endMs);
  }
  return sum;
}
