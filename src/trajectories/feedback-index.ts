import type { Decision } from '../schemas/decision';
import { answerTrajectory, FeedbackRecord, isOfAgent } from '../schemas/feedback';
import type { Scores } from '../scoring/reward-index';
import { readJsonLines } from '../storage/json-objects';
import { rewardsPrefix } from '../storage/keys';
import type { ObjectStore } from '../storage/object-store';
import { dayOf } from './time-range';

/** The feedback on one agent's live traffic that is in force at one moment, in the order in which it was given. */
export interface FeedbackIndex {
  /** On this very answer, under our id for it or the upstream's. */
  onDecision(agent: string, decision: Decision): readonly FeedbackRecord[];
  /** On the session as a whole. */
  onSession(session: string): readonly FeedbackRecord[];
}

export interface FeedbackQuery {
  readonly agent: string;
  /** When what it is about may have happened first, in milliseconds since 1970: nothing is praised before it happened. */
  readonly fromMs: number;
  /** Feedback that came later does not count. */
  readonly asOfMs: number;
}

/** So many records are read at once: each is an object of its own. */
const READS_AT_A_TIME = 16;

/**
 * Reads the feedback of some days. All of it is in memory then, which is what a join with something that comes weeks later takes.
 *
 * @throws {IntegrityError} if a record is damaged.
 */
export async function readFeedbackIndex(
  store: ObjectStore,
  { agent, fromMs, asOfMs }: FeedbackQuery,
): Promise<FeedbackIndex> {
  const records: FeedbackRecord[] = [];
  let keys: string[] = [];
  const readKeys = async (): Promise<void> => {
    const read = keys.map((key) => readJsonLines(store, key, FeedbackRecord));
    keys = [];
    for (const record of (await Promise.all(read)).flat()) {
      if (isOfAgent(agent, record.trajectory)) records.push(record);
    }
  };
  const last = rewardsPrefix(dayOf(asOfMs));
  const after = rewardsPrefix(dayOf(fromMs)).slice(0, -1);
  for await (const { key } of store.list(rewardsPrefix(), { after })) {
    if (key > last && !key.startsWith(last)) break;
    keys.push(key);
    if (keys.length === READS_AT_A_TIME) await readKeys();
  }
  await readKeys();
  return indexFeedback(records, asOfMs);
}

/** @param records in any order; a record that was written twice counts once. */
export function indexFeedback(records: readonly FeedbackRecord[], asOfMs: number): FeedbackIndex {
  const known = new Map<string, FeedbackRecord>();
  for (const record of [...records].sort(byTime)) {
    if (Date.parse(record.at) <= asOfMs && !known.has(record.id)) known.set(record.id, record);
  }
  const superseded = new Set(Array.from(known.values(), ({ supersedes }) => supersedes));
  const byTarget = new Map<string, FeedbackRecord[]>();
  for (const record of known.values()) {
    if (superseded.has(record.id)) continue;
    const target = targetOf(record.trajectory, record.decision);
    const others = byTarget.get(target);
    if (others === undefined) byTarget.set(target, [record]);
    else others.push(record);
  }
  const on = (target: string): readonly FeedbackRecord[] => byTarget.get(target) ?? [];
  return {
    onDecision(agent, { id, upstream }) {
      const ours = on(targetOf('', id));
      if (upstream === undefined || upstream.responseId === null) return ours;
      const theirs = on(targetOf(answerTrajectory(agent, upstream.responseId), null));
      return theirs.length === 0 ? ours : [...ours, ...theirs].sort(byTime);
    },
    onSession: (session) => on(targetOf(session, null)),
  };
}

/** The scores of some feedback by scorer; of several by one scorer the last that measures something. */
export function scoresOf(feedback: readonly FeedbackRecord[]): Scores {
  const scores = new Map<string, number>();
  for (const { scorer, value } of feedback) if (value !== null) scores.set(scorer, value);
  return scores;
}

/** A decision's id is enough: it says, signed, whose session it is of. */
function targetOf(trajectory: string, decision: string | null): string {
  return decision === null ? `session ${trajectory}` : `decision ${decision}`;
}

function byTime(a: FeedbackRecord, b: FeedbackRecord): number {
  if (a.at !== b.at) return a.at < b.at ? -1 : 1;
  return a.id < b.id ? -1 : a.id > b.id ? 1 : 0;
}
