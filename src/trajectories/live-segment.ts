import { IntegrityError } from '../errors';
import type { Decision } from '../schemas/decision';
import { LiveLine, type LiveIntent } from '../schemas/live-line';
import { MAX_LISTED_NAMES, type LiveSegmentEntry } from '../schemas/live-hour';
import type { Message, Tool } from '../schemas/message';
import type { ObjectRef } from '../schemas/object-ref';
import { readJsonLines } from '../storage/json-objects';
import type { ObjectStore } from '../storage/object-store';

/** What is in a segment, as far as its hour's manifest is about it. */
export interface SegmentContents {
  readonly decisions: readonly Pick<Decision, 'at' | 'policy' | 'upstream'>[];
  readonly unresolved: readonly LiveIntent[];
}

/** One live segment, parsed; its decisions in the order in which they were answered. */
export interface LiveSegment {
  readonly decisions: readonly { readonly session: string; readonly decision: Decision }[];
  readonly unresolved: readonly LiveIntent[];
  /** @throws {IntegrityError} if the segment holds no such message. */
  message(id: string): Message;
  /** The same array for the same id. @throws {IntegrityError} */
  toolset(id: string): readonly Tool[];
}

/** @param source a reference, which is checked, or a key. @throws {IntegrityError} if it is damaged; {NotFoundError} if it is gone. */
export async function readLiveSegment(
  store: ObjectStore,
  source: string | ObjectRef,
): Promise<LiveSegment> {
  const key = typeof source === 'string' ? source : source.key;
  return toLiveSegment(await readJsonLines(store, source, LiveLine), key);
}

/** @param key for what an error says. */
export function toLiveSegment(lines: Iterable<LiveLine>, key: string): LiveSegment {
  const messages = new Map<string, Message>();
  const toolsets = new Map<string, readonly Tool[]>();
  const decisions: { session: string; decision: Decision }[] = [];
  const unresolved: LiveIntent[] = [];
  for (const line of lines) {
    if (line.type === 'message') messages.set(line.id, line.message);
    else if (line.type === 'toolset') toolsets.set(line.id, line.tools);
    else if (line.type === 'unresolved') unresolved.push(line.call);
    else if (line.type === 'trajectory') {
      const { id: session } = line.trajectory;
      for (const decision of line.trajectory.decisions) decisions.push({ session, decision });
    }
  }
  const find = <T>(map: ReadonlyMap<string, T>, what: string, id: string): T => {
    const found = map.get(id);
    if (found !== undefined) return found;
    throw new IntegrityError(`a live segment lacks a ${what} that a decision names`, {
      context: { key, id },
    });
  };
  return {
    decisions: decisions.sort((a, b) => byAnswer(a.decision, b.decision)),
    unresolved,
    message: (id) => find(messages, 'message', id),
    toolset: (id) => find(toolsets, 'toolset', id),
  };
}

/** By time, then by id: the same order whoever reads. ISO times of one length compare as text. */
export function byAnswer(a: Decision, b: Decision): number {
  if (a.at !== b.at) return a.at < b.at ? -1 : 1;
  return a.id < b.id ? -1 : a.id > b.id ? 1 : 0;
}

/** What the hour's manifest says of a segment. */
export function describeSegment(
  name: string,
  { sha256, sizeBytes }: Pick<ObjectRef, 'sha256' | 'sizeBytes'>,
  { decisions, unresolved }: SegmentContents,
): LiveSegmentEntry {
  const times = decisions.map(({ at }) => at).sort();
  return {
    ...{ name, sha256, sizeBytes, decisions: decisions.length, unresolved: unresolved.length },
    firstAt: times[0] ?? null,
    lastAt: times.at(-1) ?? null,
    models: namesOf(decisions.map(({ upstream }) => upstream?.model)),
    upstreams: namesOf(decisions.map(({ upstream }) => upstream?.name)),
    policies: namesOf(decisions.map(({ policy }) => policy)),
  };
}

function namesOf(all: readonly (string | null | undefined)[]): string[] | null {
  const names = new Set(all.filter((name) => typeof name === 'string'));
  return names.size > MAX_LISTED_NAMES ? null : [...names].sort();
}
