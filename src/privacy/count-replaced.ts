import { FeedbackRecord } from '../schemas/feedback';
import { LiveLine } from '../schemas/live-line';
import { readJsonLines } from '../storage/json-objects';
import { rewardsPrefix } from '../storage/keys';
import type { ObjectStore } from '../storage/object-store';
import { hoursWithin, segmentKeyOf, segmentsOf } from '../trajectories/live-hours';
import { listLiveAgents } from '../trajectories/reindex';
import { dayOf, type TimeRange } from '../trajectories/time-range';
import { PLACEHOLDER } from './placeholder';

/** What was replaced of one kind in what is stored of one agent. Never what it was. */
export interface ReplacedKind {
  readonly agent: string;
  readonly kind: string;
  /** How many different values. */
  readonly values: number;
  /** How many messages, lists of tools, calls and records of feedback they stand in, each counted once. */
  readonly places: number;
}

export interface ReplacedReport {
  readonly kinds: readonly ReplacedKind[];
  /** Decisions that may not be trained on, since their token ids were dropped. */
  readonly untrainable: ReadonlyMap<string, number>;
}

/** `(none)` are records of feedback that belong to no agent's live traffic. */
const NO_AGENT = '(none)';

/**
 * Counts the placeholders in the live calls and the feedback of some time, whole hours and days of it: what was replaced is counted where it is
 * stored, whichever gateway did it, and what was erased counts no more. Who writes a placeholder into a message by hand counts as well.
 *
 * @throws {IntegrityError} if a segment is damaged.
 */
export async function countReplaced(
  store: ObjectStore,
  agents: readonly string[] | null,
  range: TimeRange,
): Promise<ReplacedReport> {
  const counts = new Map<string, { values: Set<string>; places: Set<string> }>();
  const untrainable = new Map<string, number>();
  const count = (agent: string, place: string, value: unknown): void => {
    for (const [whole, kind = ''] of JSON.stringify(value).matchAll(PLACEHOLDER)) {
      const key = `${agent} ${kind}`;
      const own = counts.get(key) ?? { values: new Set<string>(), places: new Set<string>() };
      counts.set(key, own);
      own.values.add(whole);
      own.places.add(place);
    }
  };
  for (const agent of agents ?? (await listLiveAgents(store))) {
    const marked = new Set<string>();
    for await (const hour of hoursWithin(store, agent, range)) {
      for (const { name, sha256, sizeBytes } of await segmentsOf(store, hour)) {
        const ref = { key: segmentKeyOf(hour, { name }), sha256, sizeBytes };
        for (const line of await readJsonLines(store, ref, LiveLine)) {
          if (line.type === 'message') count(agent, line.id, line.message);
          else if (line.type === 'toolset') count(agent, line.id, line.tools);
          else if (line.type === 'unresolved') count(agent, line.call.id, line.call);
          else if (line.type === 'use') count(agent, line.use.id, line.use);
          else {
            const { id: session, decisions } = line.trajectory;
            for (const { id, user, upstream, untrainable: why } of decisions) {
              count(agent, id, [session, user ?? null, upstream ?? null]);
              if (why !== undefined) marked.add(id);
            }
          }
        }
      }
    }
    untrainable.set(agent, marked.size);
  }
  const [first, last] = [rewardsPrefix(dayOf(range.fromMs)), rewardsPrefix(dayOf(range.toMs))];
  for await (const { key } of store.list(rewardsPrefix(), { after: first.slice(0, -1) })) {
    if (key > last && !key.startsWith(last)) break;
    for (const record of await readJsonLines(store, key, FeedbackRecord)) {
      const agent = /^(?:live|session|answers)\/([^/]+)\//.exec(record.trajectory)?.[1] ?? NO_AGENT;
      if (agents === null || agents.includes(agent)) count(agent, record.id, record);
    }
  }
  const kinds = Array.from(counts, ([key, { values, places }]) => {
    const [agent = '', kind = ''] = key.split(' ');
    return { agent, kind, values: values.size, places: places.size };
  });
  const order = ({ agent, kind }: ReplacedKind): string => `${agent} ${kind}`;
  kinds.sort((a, b) => (order(a) < order(b) ? -1 : 1));
  return { kinds, untrainable };
}
