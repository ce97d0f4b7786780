import type { Decision } from '../../schemas/decision';
import type { LiveIntent, LiveUse } from '../../schemas/live-line';
import { LiveLine } from '../../schemas/live-line';
import type { Message, Tool } from '../../schemas/message';
import type { Trajectory } from '../../schemas/trajectory';
import { readJsonLines } from '../../storage/json-objects';
import { livePrefix } from '../../storage/keys';
import type { ObjectStore } from '../../storage/object-store';

/** What several segments hold together. */
export interface MergedSegments {
  /** One per session, in the order in which the sessions were first seen. */
  readonly trajectories: readonly Trajectory[];
  /** Everything that the decisions name, by id. */
  readonly messages: ReadonlyMap<string, Message>;
  readonly toolsets: ReadonlyMap<string, readonly Tool[]>;
  /** Calls that came in and were under way when their gateway died, each once. Nobody knows how they would have ended: they teach nothing. */
  readonly unresolved: readonly LiveIntent[];
  /** Calls in which nothing was decided, each once. */
  readonly uses: readonly LiveUse[];
}

/**
 * Puts sessions together again that are spread over segments. A decision that was written twice (its call was retried) counts once, and
 * the decisions of a session are numbered from 1 in the order in which they were answered.
 *
 * @param lines of whole segments, in any order of segments.
 */
export function mergeSessions(lines: Iterable<LiveLine>): MergedSegments {
  const sessions = new Map<string, { first: Trajectory; decisions: Map<string, Decision> }>();
  const messages = new Map<string, Message>();
  const toolsets = new Map<string, readonly Tool[]>();
  const unresolved = new Map<string, LiveIntent>();
  const uses = new Map<string, LiveUse>();
  for (const line of lines) {
    if (line.type === 'message') messages.set(line.id, line.message);
    else if (line.type === 'toolset') toolsets.set(line.id, line.tools);
    else if (line.type === 'unresolved') unresolved.set(line.call.id, line.call);
    else if (line.type === 'use') uses.set(line.use.id, line.use);
    else {
      const { trajectory } = line;
      const session = sessions.get(trajectory.id) ?? {
        first: trajectory,
        decisions: new Map<string, Decision>(),
      };
      sessions.set(trajectory.id, session);
      for (const decision of trajectory.decisions) {
        const known = session.decisions.get(decision.id);
        // The earliest, so that the result does not depend on the order in which segments are read.
        if (known === undefined || byAnswer(decision, known) < 0) {
          session.decisions.set(decision.id, decision);
        }
      }
    }
  }
  const trajectories = Array.from(sessions.values(), ({ first, decisions }) => ({
    ...first,
    decisions: [...decisions.values()]
      .sort(byAnswer)
      .map((decision, i) => ({ ...decision, sequence: i + 1 })),
  }));
  return {
    trajectories,
    messages,
    toolsets,
    unresolved: [...unresolved.values()],
    uses: [...uses.values()],
  };
}

/**
 * The live sessions of one agent and day (UTC). A session that went on past midnight is cut there: read both days and merge.
 *
 * @param day YYYY-MM-DD.
 */
export async function readLiveLines(
  store: ObjectStore,
  agent: string,
  day: string,
): Promise<LiveLine[]> {
  const lines: LiveLine[][] = [];
  for await (const { key } of store.list(livePrefix(agent, day))) {
    lines.push(await readJsonLines(store, key, LiveLine));
  }
  return lines.flat();
}

/** By time; the turn and the id decide between calls of one millisecond. ISO times of one length compare as text. */
function byAnswer(a: Decision, b: Decision): number {
  if (a.at !== b.at) return a.at < b.at ? -1 : 1;
  return a.sequence - b.sequence || (a.id < b.id ? -1 : a.id > b.id ? 1 : 0);
}
