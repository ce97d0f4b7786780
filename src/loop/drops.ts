/** How much of a batch infrastructure took away. */
export interface DropTally {
  readonly rollouts: number;
  /** Dropped rollouts by reason. */
  readonly drops: Readonly<Record<string, number>>;
}

export type DropVerdict =
  | { readonly kind: 'go-on'; readonly share: number }
  | { readonly kind: 'stop'; readonly share: number; readonly reason: string };

export function sumCounts(
  counts: readonly Readonly<Record<string, number>>[],
): Record<string, number> {
  const sum: Record<string, number> = {};
  for (const one of counts) {
    for (const [reason, count] of Object.entries(one)) sum[reason] = (sum[reason] ?? 0) + count;
  }
  return sum;
}

/**
 * Drops select survivors: what is left is no longer a fair sample of the tasks, so above `maxDropShare` a run stops and
 * asks instead of learning from it.
 */
export function decideDrops({ rollouts, drops }: DropTally, maxDropShare: number): DropVerdict {
  const dropped = Object.values(drops).reduce((sum, count) => sum + count, 0);
  const share = rollouts === 0 ? 0 : dropped / rollouts;
  if (share <= maxDropShare) return { kind: 'go-on', share };
  const reasons = Object.entries(drops)
    .sort(([, a], [, b]) => b - a)
    .map(([reason, count]) => `${reason} ${count}`)
    .join(', ');
  return {
    kind: 'stop',
    share,
    reason:
      `infrastructure lost ${dropped} of ${rollouts} rollouts (${(100 * share).toFixed(1)} %, ` +
      `at most ${(100 * maxDropShare).toFixed(1)} % is trained on): ${reasons}`,
  };
}
