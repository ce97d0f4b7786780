import type { Decision } from '../../schemas/decision';
import type { LiveIntent, LiveLine } from '../../schemas/live-line';
import { liveSegmentKey } from '../../storage/keys';
import type { SegmentContents } from '../../trajectories/live-segment';
import type { SpooledContents } from './spool';
import { SpooledCall } from './spool-entry';

/** What becomes of one spool file. */
export interface SpooledSegments {
  /** In the order of their first lines. */
  readonly segments: readonly SpooledSegment[];
  readonly decisions: number;
  readonly unresolved: number;
  /** Entries that no segment can hold: they are not of this format, or what they refer to has decayed. */
  readonly unusable: readonly string[];
}

export interface SpooledSegment extends SegmentContents {
  readonly key: string;
  readonly text: string;
}

interface Draft {
  readonly parts: Set<string>;
  /** Decisions by session. */
  readonly sessions: Map<string, { readonly agent: string; readonly decisions: Decision[] }>;
  readonly unresolved: LiveIntent[];
}

/** So many entries are checked before others get their turn: a file may hold thousands, and live calls wait for the same thread. */
const ENTRIES_PER_TURN = 100;

/**
 * The live segments of a file: one per agent and hour, each entry in the hour of its own time. The same contents give the same keys and
 * bytes, whoever makes them and how often: `name` is that of the file.
 */
export async function toSegments(
  { parts, entries, open }: SpooledContents,
  name: string,
): Promise<SpooledSegments> {
  const drafts = new Map<string, Draft>();
  const unusable: string[] = [];
  const isOpen = new Set(open);
  let [decisions, unresolved] = [0, 0];

  const draftOf = (agent: string, at: string): Draft => {
    const time = new Date(at);
    const day = time.toISOString().slice(0, 10);
    const key = liveSegmentKey(agent, day, time.getUTCHours(), name);
    const draft = drafts.get(key) ?? { parts: new Set(), sessions: new Map(), unresolved: [] };
    drafts.set(key, draft);
    return draft;
  };

  for (const [index, text] of entries.entries()) {
    if (index % ENTRIES_PER_TURN === ENTRIES_PER_TURN - 1) await new Promise(setImmediate);
    const call = parse(text);
    if (call === null) {
      unusable.push(text);
    } else if (call.type === 'intent') {
      if (!isOpen.has(text)) continue;
      draftOf(call.intent.agent, call.intent.at).unresolved.push(call.intent);
      unresolved++;
    } else if (call.type === 'decision') {
      const { agent, session, decision } = call;
      const needed = [
        ...decision.context,
        ...(decision.alternatives ?? []),
        ...(decision.toolset === null ? [] : [decision.toolset]),
        ...(decision.alternatives ?? []),
      ];
      if (![...needed, decision.output].every((id) => parts.has(id))) {
        unusable.push(text);
        continue;
      }
      const draft = draftOf(agent, decision.at);
      for (const id of [...needed, decision.output]) draft.parts.add(id);
      const known = draft.sessions.get(session) ?? { agent, decisions: [] };
      draft.sessions.set(session, known);
      known.decisions.push(decision);
      decisions++;
    }
  }
  const segments: SpooledSegment[] = [];
  for (const [key, draft] of drafts) {
    const { sessions, unresolved: lost } = draft;
    const taken = Array.from(sessions, ([session, { decisions: all }]) =>
      all.map((decision) => ({ session, decision })),
    );
    const text = await textOf(draft, parts);
    segments.push({ key, text, decisions: taken.flat(), unresolved: lost });
  }
  return { segments, decisions, unresolved, unusable };
}

function parse(text: string): SpooledCall | null {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    return null; // its checksum fits, so whoever wrote it is to blame: kept aside with what is of another format
  }
  const call = SpooledCall.safeParse(json);
  return call.success ? call.data : null;
}

async function textOf(draft: Draft, parts: ReadonlyMap<string, string>): Promise<string> {
  const lines = Array.from(draft.parts, (id) => parts.get(id));
  const add = (line: LiveLine): void => void lines.push(JSON.stringify(line));
  let turn = 0;
  for (const [id, { agent, decisions }] of draft.sessions) {
    if (++turn % ENTRIES_PER_TURN === 0) await new Promise(setImmediate);
    const rest = { task: null, attempt: 1, member: 0, outcome: null };
    add({ type: 'trajectory', trajectory: { id, agent, ...rest, decisions } });
  }
  for (const call of draft.unresolved) add({ type: 'unresolved', call });
  return lines.map((line) => `${line}\n`).join('');
}
