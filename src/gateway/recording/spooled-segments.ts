import { NO_ERASURES, type Erasures } from '../../erasure/erasures';
import { answerTrajectory } from '../../schemas/feedback';
import type { LiveIntent, LiveLine, LiveUse } from '../../schemas/live-line';
import { liveSegmentKey } from '../../storage/keys';
import type { SegmentContents } from '../../trajectories/live-segment';
import type { SpooledContents } from './spool';
import { SpooledCall } from './spool-entry';
import { withoutTokens } from './without-tokens';

/** What becomes of one spool file. */
export interface SpooledSegments {
  /** In the order of their first lines. */
  readonly segments: readonly SpooledSegment[];
  readonly decisions: number;
  readonly unresolved: number;
  /** Entries that no segment can hold: they are not of this format, or what they refer to has decayed. */
  readonly unusable: readonly string[];
  /** What was left out. */
  readonly erased: ErasedCalls;
}

export interface SpooledSegment extends SegmentContents {
  readonly key: string;
  readonly text: string;
}

interface Draft {
  readonly parts: Set<string>;
  /** Decisions by session, as JSON. */
  readonly sessions: Map<string, { readonly agent: string; readonly decisions: string[] }>;
  /** What the manifest of the hour is about. */
  readonly held: SegmentContents['decisions'][number][];
  readonly unresolved: LiveIntent[];
  readonly uses: LiveUse[];
}

/** So many entries are checked before others get their turn: a file may hold thousands, and live calls wait for the same thread. */
const ENTRIES_PER_TURN = 100;

/**
 * The live segments of a file: one per agent and hour, each entry in the hour of its own time. The same contents give the same keys and
 * bytes, whoever makes them and how often: `name` is that of the file. What is erased is in none of them.
 */
export async function toSegments(
  contents: SpooledContents,
  name: string,
  erasures: Erasures = NO_ERASURES,
): Promise<SpooledSegments> {
  const found = erasures.isEmpty ? null : erasedIn(contents.entries, erasures);
  return segmentsWithout(contents, name, found ?? NOTHING_ERASED);
}

/** What a file holds of sessions that are erased. */
export interface ErasedCalls {
  readonly sessions: ReadonlySet<string>;
  /** The names under which feedback on their upstreams' answers lies. */
  readonly answers: readonly string[];
  readonly calls: number;
}
const NOTHING_ERASED: ErasedCalls = { sessions: new Set(), answers: [], calls: 0 };

/** A user's calls are erased with the whole sessions that they are in: what one said stands in the next calls' histories. */
function erasedIn(entries: readonly string[], erasures: Erasures): ErasedCalls {
  const calls = entries.flatMap((text) => {
    const call = text.startsWith(END) ? null : parseHead(text);
    return call === null || call.type === 'end' ? [] : [call];
  });
  const sessions = new Set<string>();
  for (const call of calls) {
    const session = sessionOf(call);
    if (erasures.hasTrajectory(session) || erasures.hasUser(userOf(call))) sessions.add(session);
  }
  const erased = calls.filter((call) => sessions.has(sessionOf(call)));
  const answers = erased.flatMap((call) => {
    const id = call.type === 'decision' ? call.decision.upstream?.responseId : null;
    return call.type !== 'decision' || typeof id !== 'string'
      ? []
      : [answerTrajectory(call.agent, id)];
  });
  return { sessions, answers, calls: erased.length };
}

type Made = Exclude<SpooledCall, { type: 'end' }>;

function sessionOf(call: Made): string {
  if (call.type === 'decision') return call.session;
  return call.type === 'use' ? call.use.session : call.intent.session;
}

function userOf(call: Made): string | undefined {
  if (call.type === 'decision') return call.decision.user;
  return call.type === 'use' ? call.use.user : call.intent.user;
}

async function segmentsWithout(
  { parts, entries, open }: SpooledContents,
  name: string,
  erased: ErasedCalls,
): Promise<SpooledSegments> {
  const drafts = new Map<string, Draft>();
  const unusable: string[] = [];
  const isOpen = new Set(open);
  let [decisions, unresolved] = [0, 0];

  const keys = new Map<string, string>(); // by agent and hour
  const draftOf = (agent: string, at: string): Draft => {
    const hour = `${agent} ${at.slice(0, 13)}`; // times are written as 2026-11-25T20:15:00.000Z
    let key = keys.get(hour);
    if (key === undefined) {
      key = liveSegmentKey(agent, at.slice(0, 10), Number(at.slice(11, 13)), name);
      keys.set(hour, key);
    }
    let draft = drafts.get(key);
    if (draft === undefined) {
      drafts.set(
        key,
        (draft = { parts: new Set(), sessions: new Map(), held: [], unresolved: [], uses: [] }),
      );
    }
    return draft;
  };

  for (const [index, text] of entries.entries()) {
    if (index % ENTRIES_PER_TURN === ENTRIES_PER_TURN - 1) await new Promise(setImmediate);
    if (isAnswered(text, isOpen)) continue;
    const call = parseHead(text);
    if (call === null) {
      unusable.push(text);
    } else if (call.type !== 'end' && erased.sessions.has(sessionOf(call))) {
      continue;
    } else if (call.type === 'intent') {
      draftOf(call.intent.agent, call.intent.at).unresolved.push(call.intent);
      unresolved++;
    } else if (call.type === 'use') {
      draftOf(call.use.agent, call.use.at).uses.push(call.use);
    } else if (call.type === 'decision') {
      const { agent, session, decision } = call;
      const needed = [
        ...decision.context,
        ...(decision.alternatives ?? []),
        ...(decision.toolset === null ? [] : [decision.toolset]),
      ];
      if (![...needed, decision.output].every((id) => parts.has(id))) {
        unusable.push(text);
        continue;
      }
      const draft = draftOf(agent, decision.at);
      for (const id of [...needed, decision.output]) draft.parts.add(id);
      const known = draft.sessions.get(session) ?? { agent, decisions: [] };
      draft.sessions.set(session, known);
      known.decisions.push(decisionText(text, call) ?? decisionJson(text));
      const { at, policy, upstream } = decision;
      draft.held.push({ at, policy, ...(upstream === undefined ? {} : { upstream }) });
      decisions++;
    }
  }
  const segments: SpooledSegment[] = [];
  for (const [key, draft] of drafts) {
    const text = await textOf(draft, parts);
    segments.push({ key, text, decisions: draft.held, unresolved: draft.unresolved });
  }
  return { segments, decisions, unresolved, unusable, erased };
}

/**
 * Most of what a file holds: calls that came in and were answered, and ends without a decision. Nothing of them is kept, so they need not
 * be read any further.
 */
function isAnswered(text: string, isOpen: ReadonlySet<string>): boolean {
  return (text.startsWith(INTENT) && !isOpen.has(text)) || text.startsWith(END);
}
const INTENT = '{"type":"intent",';
const END = '{"type":"end",';

/**
 * The decision's JSON as it stands in the entry, where its writer put it last; writing a long one again costs as much as reading it.
 *
 * @returns null for an entry that is written in another way.
 */
function decisionText(
  text: string,
  call: Extract<SpooledCall, { type: 'decision' }>,
): string | null {
  const { type, session, agent } = call;
  const before = `${JSON.stringify({ type, session, agent }).slice(0, -1)},"decision":`;
  return text.startsWith(before) ? text.slice(before.length, -1) : null;
}

/** @param text an entry that was read before. */
function decisionJson(text: string): string {
  const { decision } = JSON.parse(text) as Extract<SpooledCall, { type: 'decision' }>;
  return JSON.stringify(decision);
}

/** All of the call but a decision's token ids, where they can be left out. */
function parseHead(text: string): SpooledCall | null {
  return parse(withoutTokens(text) ?? text);
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
    const head = JSON.stringify({ id, agent, ...rest });
    lines.push(
      `{"type":"trajectory","trajectory":${head.slice(0, -1)},"decisions":[${decisions.join(',')}]}}`,
    );
  }
  for (const call of draft.unresolved) add({ type: 'unresolved', call });
  for (const use of draft.uses) add({ type: 'use', use });
  return lines.map((line) => `${line}\n`).join('');
}
