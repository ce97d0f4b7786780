/** One task under one metric, as lists of changes need it. */
export interface ScoredPair {
  readonly taskId: string;
  readonly slice: string;
  readonly champion: number;
  readonly candidate: number;
}

export interface ChangeList {
  readonly count: number;
  /** The first ones by slice, then id; `count` says how many there are. */
  readonly taskIds: readonly string[];
}

export interface SliceChanges {
  readonly slice: string;
  readonly tasks: number;
  readonly fixed: number;
  readonly broken: number;
}

export interface Changes {
  readonly fixed: ChangeList;
  readonly broken: ChangeList;
  /** Every slice, also those where nothing changed, sorted by name. */
  readonly slices: readonly SliceChanges[];
}

/** By UTF-16 code units: the same order on every machine, whatever its locale. */
const byCode = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

/** Right is a score above one half: 1 of a 0/1 score; of repeats, the majority (a tie is not right). */
const isRight = (score: number): boolean => score > 0.5;

/**
 * Which tasks the candidate fixed (champion wrong, candidate right) and which it broke, task by task and slice by slice.
 * With few repeats some changes are chance: the list is for reading, the bound for deciding.
 *
 * @param rows of one metric, one per task, in any order; only scores in [0, 1] make sense here.
 * @param limit how many ids each list holds at most.
 */
export function listChanges(rows: readonly ScoredPair[], limit = 50): Changes {
  const sorted = [...rows].sort((a, b) => byCode(a.slice, b.slice) || byCode(a.taskId, b.taskId));
  const fixed: string[] = [];
  const broken: string[] = [];
  const slices = new Map<string, { tasks: number; fixed: number; broken: number }>();
  for (const { taskId, slice, champion, candidate } of sorted) {
    const counts = slices.get(slice) ?? { tasks: 0, fixed: 0, broken: 0 };
    slices.set(slice, counts); // a Map keeps the order of first insertion, which is sorted
    counts.tasks++;
    if (isRight(champion) === isRight(candidate)) continue;
    if (isRight(candidate)) {
      counts.fixed++;
      fixed.push(taskId);
    } else {
      counts.broken++;
      broken.push(taskId);
    }
  }
  return {
    fixed: { count: fixed.length, taskIds: fixed.slice(0, limit) },
    broken: { count: broken.length, taskIds: broken.slice(0, limit) },
    slices: [...slices].map(([slice, counts]) => ({ slice, ...counts })),
  };
}
