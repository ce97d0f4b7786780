import { IntegrityError, NotFoundError } from '../errors';
import type { Decision } from '../schemas/decision';
import type { FeedbackRecord } from '../schemas/feedback';
import type { LiveSegmentEntry } from '../schemas/live-hour';
import type { Message, Tool } from '../schemas/message';
import type { ObjectStore } from '../storage/object-store';
import type { FeedbackIndex } from './feedback-index';
import { readFeedbackIndex } from './feedback-index';
import { hoursWithin, segmentKeyOf, segmentsOf, type HourOfAgent } from './live-hours';
import { byAnswer, readLiveSegment, type LiveSegment } from './live-segment';
import { assertTimeRange, isWithin, type TimeRange } from './time-range';

/** What is left out has no say. */
export interface LiveFilter {
  readonly session?: string;
  /** As the upstream names it. */
  readonly model?: string;
  readonly upstream?: string;
  readonly policy?: string;
  /** Whether there is feedback on the answer or its session. */
  readonly hasFeedback?: boolean;
}

export interface LiveQuery extends TimeRange {
  readonly agent: string;
  /** Feedback that came later does not count, in milliseconds since 1970. */
  readonly asOfMs: number;
  readonly filter?: LiveFilter;
}

/** One decision of live traffic, with all that its ids stand for and what was said of it. */
export interface LiveDecision {
  readonly agent: string;
  readonly session: string;
  readonly decision: Decision;
  /** The request's messages, oldest first. */
  readonly messages: readonly Message[];
  readonly answer: Message;
  /** The other choices, where the request asked for several. */
  readonly alternatives: readonly Message[];
  readonly tools: readonly Tool[] | null;
  /** On this answer, in force, in the order given. */
  readonly feedback: readonly FeedbackRecord[];
  /** The same on its session as a whole. */
  readonly sessionFeedback: readonly FeedbackRecord[];
}

/**
 * The decisions that an agent's live calls were answered by in a range of time, with the feedback that was in force at one moment. In the
 * order in which they were answered (by id within a millisecond), each once: whoever reads the same range again gets the same order.
 *
 * In memory are the segments that overlap in time (about one per gateway process), and the feedback since the range began. What a gateway
 * has not drained yet, or feedback that is being written, is not there: ask for a range and a moment that are over by a minute.
 *
 * @throws {IntegrityError} if a segment or a record of feedback is damaged.
 */
export async function* readLiveDecisions(
  store: ObjectStore,
  query: LiveQuery,
): AsyncGenerator<LiveDecision> {
  assertTimeRange(query);
  const feedback = await readFeedbackIndex(store, query);
  for await (const hour of hoursWithin(store, query.agent, query)) {
    yield* decisionsOf(store, hour, query, feedback);
  }
}

async function* decisionsOf(
  store: ObjectStore,
  hour: HourOfAgent,
  query: LiveQuery,
  feedback: FeedbackIndex,
): AsyncGenerator<LiveDecision> {
  let last: Decision | null = null;
  for await (const found of sweep(store, hour, query)) {
    // A decision that was written twice stands beside itself.
    if (last !== null && byAnswer(found.decision, last) === 0) continue;
    last = found.decision;
    const { session, decision, segment } = found;
    const { agent } = hour;
    const said = {
      feedback: feedback.onDecision(agent, decision),
      sessionFeedback: feedback.onSession(session),
    };
    const { hasFeedback } = query.filter ?? {};
    const isSaid = said.feedback.length + said.sessionFeedback.length > 0;
    if (hasFeedback !== undefined && hasFeedback !== isSaid) continue;
    yield {
      agent,
      session,
      decision,
      ...said,
      messages: decision.context.map((id) => segment.message(id)),
      answer: segment.message(decision.output),
      alternatives: (decision.alternatives ?? []).map((id) => segment.message(id)),
      tools: decision.toolset === null ? null : segment.toolset(decision.toolset),
    };
  }
}

interface Found {
  readonly session: string;
  readonly decision: Decision;
  readonly segment: LiveSegment;
}

/** A segment that is being read: its wanted decisions, the next one last. */
interface Cursor {
  readonly segment: LiveSegment;
  readonly rest: { readonly session: string; readonly decision: Decision }[];
}

/** Merges the segments of an hour by time: each is opened when its first decision may be due, and forgotten after its last. */
async function* sweep(
  store: ObjectStore,
  hour: HourOfAgent,
  query: LiveQuery,
): AsyncGenerator<Found> {
  const known = new Set<string>();
  let waiting: LiveSegmentEntry[] = [];
  const expect = (entries: readonly LiveSegmentEntry[]): void => {
    const more = entries.filter((entry) => !known.has(entry.name) && mayHold(entry, query));
    for (const { name } of entries) known.add(name);
    waiting = [...waiting, ...more].sort((a, b) => (startOf(a) < startOf(b) ? 1 : -1));
  };
  expect(await segmentsOf(store, hour));

  let open: Cursor[] = [];
  for (;;) {
    const first = earliestOf(open);
    const entry = waiting.at(-1);
    if (entry !== undefined && (first === null || startOf(entry) <= headOf(first).at)) {
      waiting.pop();
      const segment = await openSegment(store, hour, entry);
      if (segment === null) expect(await inItsPlace(store, hour, entry));
      else open.push(cursorOf(segment, query));
    } else if (first === null) {
      return;
    } else {
      const { segment, rest } = first;
      for (const found of rest.splice(-1)) yield { ...found, segment };
    }
    open = open.filter(({ rest }) => rest.length > 0);
  }
}

/** null if it is gone. */
async function openSegment(
  store: ObjectStore,
  hour: HourOfAgent,
  { name, sha256, sizeBytes }: LiveSegmentEntry,
): Promise<LiveSegment | null> {
  const key = segmentKeyOf(hour, { name });
  try {
    return await readLiveSegment(store, { key, sha256, sizeBytes });
  } catch (error) {
    if (error instanceof NotFoundError) return null;
    throw error;
  }
}

/** What erasing put in the place of a segment that is gone. @throws {IntegrityError} if it is gone and should not be. */
async function inItsPlace(
  store: ObjectStore,
  hour: HourOfAgent,
  { name }: LiveSegmentEntry,
): Promise<readonly LiveSegmentEntry[]> {
  const segments = await segmentsOf(store, hour);
  if (!segments.some((one) => one.name === name)) return segments;
  throw new IntegrityError(
    'a live segment is missing that its hour lists: expected it until nothing lists it; restore it from a copy, or look into quarantine (`ratchet store verify` says where)',
    { context: { key: segmentKeyOf(hour, { name }) } },
  );
}

function cursorOf(segment: LiveSegment, { filter = {}, ...range }: LiveQuery): Cursor {
  const isWanted = ({ session, decision }: Cursor['rest'][number]): boolean =>
    isWithin(decision.at, range) &&
    isOr(filter.session, session) &&
    isOr(filter.model, decision.upstream?.model) &&
    isOr(filter.upstream, decision.upstream?.name) &&
    isOr(filter.policy, decision.policy);
  return { segment, rest: segment.decisions.filter(isWanted).reverse() };
}

function isOr(wanted: string | undefined, got: string | null | undefined): boolean {
  return wanted === undefined || wanted === got;
}

/** Whether a segment has to be read, as far as its hour's manifest says. */
function mayHold(entry: LiveSegmentEntry, { filter = {}, fromMs, toMs }: LiveQuery): boolean {
  if (entry.firstAt === null || entry.lastAt === null) return false;
  if (Date.parse(entry.lastAt) < fromMs || Date.parse(entry.firstAt) >= toMs) return false;
  const mayBe = (names: readonly string[] | null, wanted: string | undefined): boolean =>
    wanted === undefined || names === null || names.includes(wanted);
  return (
    mayBe(entry.models, filter.model) &&
    mayBe(entry.upstreams, filter.upstream) &&
    mayBe(entry.policies, filter.policy)
  );
}

function startOf({ firstAt }: LiveSegmentEntry): string {
  return firstAt ?? '';
}

function headOf({ rest }: Cursor): Decision {
  return (rest.at(-1) as Cursor['rest'][number]).decision;
}

/** Among cursors that have something left; there are about as many as gateways. */
function earliestOf(open: readonly Cursor[]): Cursor | null {
  let best: Cursor | null = null;
  for (const one of open) {
    if (best === null || byAnswer(headOf(one), headOf(best)) < 0) best = one;
  }
  return best;
}
