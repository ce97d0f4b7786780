import { setTimeout as delay } from 'node:timers/promises';
import { describeError, InvalidInputError } from '../errors';
import type { Json } from '../schemas/json';
import type { RewardRecord } from '../schemas/reward';
import { sha256Hex } from '../storage/digest';
import { classifyUnscored, type ScorerFailure } from './classify';
import type { Scorer, ScorerInput } from './scorer';

/** The value of every applicable scorer for an attempt that failed by policy: it was asked, and got nothing done. */
export const POLICY_FAILURE_VALUE = 0;

export interface ScoringOptions {
  /** Milliseconds since 1970, for the records' `at`. */
  readonly now: () => number;
  /** Calls of a scorer that throws or takes too long, the first included. @default 3 */
  readonly attempts?: number;
  /** Before the second call; doubles each time. @default 100 */
  readonly backoffMs?: number;
  /** How long one call may take. A scorer that never yields the thread cannot be stopped. @default 60_000 */
  readonly timeoutMs?: number;
}

/** `dropped`: infrastructure took the attempt. `unresolved`: nobody could say what it was worth. Neither is a reward of 0. */
export type ScoredTrajectory =
  | { readonly kind: 'scored'; readonly records: readonly RewardRecord[] }
  | { readonly kind: 'dropped'; readonly reason: string }
  | { readonly kind: 'unresolved'; readonly reason: string; readonly detail: string };

/**
 * Scores one finished attempt with every scorer that applies to its task; one record each, in the scorers' order. The id
 * of a record says what was scored by which version, so that scoring the same again makes the same records, times aside.
 *
 * A scorer is also asked about an attempt that failed by policy, with a null result: null means that it does not apply,
 * any value is replaced by POLICY_FAILURE_VALUE. A scorer that keeps throwing, or taking too long, leaves the whole trajectory
 * unresolved: a reward made of the other scorers would be another reward.
 *
 * @throws {InvalidInputError} naming the scorer whose value is not a finite number or null: retrying cannot mend that.
 */
export async function scoreTrajectory(
  input: Omit<ScorerInput, 'result' | 'signal'>,
  scorers: readonly Scorer[],
  { now, attempts = 3, backoffMs = 100, timeoutMs = 60_000 }: ScoringOptions,
): Promise<ScoredTrajectory> {
  const { outcome } = input.trajectory;
  let result: Json = null;
  let isPolicyFailure = false;
  switch (outcome?.kind) {
    case undefined:
      return { kind: 'unresolved', reason: 'no-outcome', detail: 'the trajectory has no outcome' };
    case 'infraFailed':
      return { kind: 'dropped', reason: outcome.reason };
    case 'unresolved':
      return outcome;
    case 'policyFailed':
      isPolicyFailure = true;
      break;
    case 'completed':
      result = outcome.result;
      break;
  }
  const at = new Date(now()).toISOString();
  const records: RewardRecord[] = [];
  for (const scorer of scorers) {
    const limits = { attempts, backoffMs, timeoutMs };
    const scored = await callScorer(scorer, { ...input, result }, limits);
    if (scored.kind !== 'value') return classifyUnscored(scorer.name, scored);
    if (scored.value === null) continue;
    const value = isPolicyFailure ? POLICY_FAILURE_VALUE : scored.value;
    records.push(toRecord(input.trajectory.id, scorer, value, at));
  }
  return { kind: 'scored', records };
}

function toRecord(trajectory: string, scorer: Scorer, value: number, at: string): RewardRecord {
  const { name, version } = scorer;
  return {
    id: `reward-${sha256Hex(JSON.stringify([trajectory, name, version])).slice(0, 32)}`,
    trajectory,
    decision: null,
    scorer: name,
    scorerVersion: version,
    value,
    by: name,
    at,
    supersedes: null,
  };
}

type Called = { readonly kind: 'value'; readonly value: number | null } | ScorerFailure;

async function callScorer(
  scorer: Scorer,
  input: ScorerInput,
  { attempts, backoffMs, timeoutMs }: Required<Omit<ScoringOptions, 'now'>>,
): Promise<Called> {
  for (let attempt = 1; ; attempt += 1) {
    const called = await callOnce(scorer, input, timeoutMs);
    if (called.kind !== 'value') {
      // Not thrown: whoever counts drops sees what it said, and the other trajectories are still worth scoring.
      if (attempt >= attempts) return called;
      await delay(backoffMs * 2 ** (attempt - 1));
      continue;
    }
    const { value } = called;
    if (value === null || (typeof value === 'number' && Number.isFinite(value)))
      return { kind: 'value', value };
    throw new InvalidInputError('a scorer returned no score: expected a finite number or null', {
      context: {
        scorer: scorer.name,
        version: scorer.version,
        got: typeof value === 'number' ? value : typeof value,
        trajectory: input.trajectory.id,
      },
    });
  }
}

type CalledOnce = { readonly kind: 'value'; readonly value: unknown } | ScorerFailure;

/** One call. What comes of it after its time is dropped. */
async function callOnce(
  scorer: Scorer,
  input: ScorerInput,
  timeoutMs: number,
): Promise<CalledOnce> {
  const controller = new AbortController();
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<CalledOnce>((resolve) => {
    timer = setTimeout(() => {
      resolve({ kind: 'timedOut', timeoutMs });
      controller.abort(new Error('the scorer took too long'));
    }, timeoutMs);
  });
  const { signal } = controller;
  // A scorer is a user's code: its type is a promise, not a fact. Never rejects, so its late error is nobody's.
  const asked = (async (): Promise<unknown> => scorer.score({ ...input, signal }))().then(
    (value): CalledOnce => ({ kind: 'value', value }),
    (error: unknown): CalledOnce => ({ kind: 'threw', detail: describeError(error) }),
  );
  try {
    return await Promise.race([asked, late]);
  } finally {
    clearTimeout(timer);
  }
}
