import type { RewardRecord } from '../schemas/reward';

/** A trajectory's scores by scorer. */
export type Scores = ReadonlyMap<string, number>;

/**
 * The scores in force: of a record and those that supersede it, the last. Rewards of single decisions are not in it.
 *
 * @param records in the order written.
 * @returns by trajectory id.
 */
export function indexRewards(records: readonly RewardRecord[]): ReadonlyMap<string, Scores> {
  const superseded = new Set(
    records.flatMap(({ supersedes }) => (supersedes === null ? [] : [supersedes])),
  );
  const index = new Map<string, Map<string, number>>();
  for (const { id, trajectory, decision, scorer, value } of records) {
    if (decision !== null || superseded.has(id)) continue;
    let scores = index.get(trajectory);
    if (scores === undefined) index.set(trajectory, (scores = new Map<string, number>()));
    scores.set(scorer, value);
  }
  return index;
}
