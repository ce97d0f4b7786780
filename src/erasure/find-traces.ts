import { IntegrityError } from '../errors';
import { answerTrajectory } from '../schemas/feedback';
import { LiveLine } from '../schemas/live-line';
import { readJsonLines } from '../storage/json-objects';
import { livePrefix } from '../storage/keys';
import type { ObjectStore } from '../storage/object-store';
import { readConversations } from '../trajectories/read-conversations';

/** What is meant: names of sessions as they are recorded, or pseudonyms of users. */
export interface Target {
  readonly sessions: ReadonlySet<string>;
  readonly users: ReadonlySet<string>;
}

export interface Traces {
  /** All sessions that are meant, those of `Target` among them. */
  readonly sessions: Set<string>;
  /** Where feedback on their upstreams' answers lies. */
  readonly answers: Set<string>;
  /** Segments that could not be read, and why. */
  readonly unreadable: Map<string, string>;
}

/** Where in the live calls of some agents something of the target is. A user's are the whole sessions that one of their calls is in. */
export async function findTraces(
  store: ObjectStore,
  agents: readonly string[],
  { sessions: named, users }: Target,
): Promise<Traces> {
  const sessions = new Set(named);
  const unreadable = new Map<string, string>();
  const decided: { readonly session: string; readonly answer: string }[] = [];
  for (const agent of agents) {
    if (named.size > 0) await addContinued(store, agent, sessions, unreadable);
    for await (const { key } of store.list(livePrefix(agent))) {
      try {
        for (const line of await readJsonLines(store, key, LiveLine)) {
          if (line.type === 'message' || line.type === 'toolset') continue;
          if (line.type !== 'trajectory') {
            const { session, user } = line.type === 'use' ? line.use : line.call;
            if (user !== undefined && users.has(user)) sessions.add(session);
            continue;
          }
          const { id: session, decisions } = line.trajectory;
          for (const { user, upstream } of decisions) {
            if (user !== undefined && users.has(user)) sessions.add(session);
            const id = upstream?.responseId;
            if (typeof id === 'string')
              decided.push({ session, answer: answerTrajectory(agent, id) });
          }
        }
      } catch (error) {
        if (!(error instanceof IntegrityError)) throw error;
        unreadable.set(key, error.message);
      }
    }
  }
  const answers = new Set(
    decided.filter(({ session }) => sessions.has(session)).map(({ answer }) => answer),
  );
  return { sessions, answers, unreadable };
}

/**
 * Calls that name no session are sessions of their own and belong to the conversation that they go on from: whoever means one of them means
 * the conversation. Where the calls cannot be put together because one is damaged, only what is named itself is meant.
 */
async function addContinued(
  store: ObjectStore,
  agent: string,
  sessions: Set<string>,
  unreadable: Map<string, string>,
): Promise<void> {
  const always = { fromMs: 0, toMs: Date.UTC(9999, 0), asOfMs: 0 };
  const meant = new Set<string>();
  try {
    for await (const one of readConversations(store, { agent, ...always })) {
      const isMeant =
        sessions.has(one.id) ||
        (one.continues !== null && meant.has(one.continues)) ||
        one.sessions.some((session) => sessions.has(session));
      if (!isMeant) continue;
      meant.add(one.id);
      for (const session of one.sessions) sessions.add(session);
    }
  } catch (error) {
    if (!(error instanceof IntegrityError)) throw error;
    unreadable.set(`the conversations of ${agent}`, error.message);
  }
}
