import { AnswerIndex, type LinkKind } from './answer-index';
import type { CallFacts } from './call-facts';
import { markUnconsumed } from './unconsumed';

export interface StitchOptions {
  /** A conversation in which nothing was answered for so long is closed; what goes on from it opens a linked one. @default 30 min */
  readonly idleMs?: number;
  /** Answers are remembered for so long: later calls that hold them are conversations of their own. @default 7 days */
  readonly rememberMs?: number;
  /** The same request again within this time is a retry. @default 10 min, which is how long OpenAI's clients wait for an answer */
  readonly retryMs?: number;
}

/** How a call came to its place. */
export type CallLink =
  | { readonly kind: 'first' }
  /** `parent` is the call whose answer it goes on from; it may be in the conversation that this one continues. */
  | { readonly kind: LinkKind; readonly parent: string }
  /** It is of the same session, and goes on from no answer of ours: another branch. */
  | { readonly kind: 'session' }
  /** It holds an answer that several conversations were given: it stays apart from all of them. */
  | { readonly kind: 'ambiguous'; readonly candidates: number };

export interface StitchedCall {
  readonly facts: CallFacts;
  readonly link: CallLink;
  /** Nobody went on from its answer, because its client asked again: it teaches nothing. */
  readonly isUnconsumed: boolean;
}

/** The calls of one agent that belong together, in the order in which they were answered. */
export interface Conversation {
  /** The session of its first call; for what continues a closed one, that one's id with `~2`, `~3`, … behind it. */
  readonly id: string;
  /** The conversation that was closed before this one went on. */
  readonly continues: string | null;
  readonly sessions: readonly string[];
  readonly calls: readonly StitchedCall[];
}

interface Thread {
  readonly id: string;
  /** Of the first in a row of continuations, and how many there were before. */
  readonly root: string;
  readonly generation: number;
  readonly continues: string | null;
  readonly calls: { readonly facts: CallFacts; readonly link: CallLink }[];
  lastAtMs: number;
  next: Thread | null;
}

interface Known {
  readonly call: string;
  readonly session: string;
  readonly thread: Thread;
}

const MINUTE_MS = 60_000;

/**
 * Puts the calls of one agent together again. Gateways know nothing of each other, so it is done by whoever reads: calls that name a session
 * are of that session; others go on from an answer of ours that they hold, or from an id that they name. What might go on from several
 * conversations stays apart.
 *
 * In memory are the open conversations, and hashes of the answers of `rememberMs`.
 */
export class Stitcher {
  readonly idleMs: number;
  readonly #retryMs: number;
  readonly #answers: AnswerIndex<Known>;
  readonly #sessions = new Map<string, Thread>();
  /** Those that were not given out yet, in the order of their last answers. */
  readonly #open = new Set<Thread>();

  constructor({
    idleMs = 30 * MINUTE_MS,
    rememberMs = 7 * 24 * 60 * MINUTE_MS,
    retryMs = 10 * MINUTE_MS,
  }: StitchOptions = {}) {
    this.idleMs = idleMs;
    this.#retryMs = retryMs;
    this.#answers = new AnswerIndex<Known>(rememberMs, ({ session }, beforeMs) => {
      const thread = this.#sessions.get(session);
      if (thread !== undefined && thread.lastAtMs < beforeMs) this.#sessions.delete(session);
    });
  }

  /** Takes the next call, in the order in which they were answered. @returns the conversations that are closed by then. */
  add(facts: CallFacts): Conversation[] {
    const closed = this.closeBefore(facts.atMs - this.idleMs);
    this.#answers.forget(facts.atMs);
    const { link, thread: from } = this.#place(facts);
    const thread = from === null ? open(facts.session) : this.#goOn(latest(from));
    thread.calls.push({ facts: { ...facts, heard: [] }, link }); // looked up; they would be most of the memory
    thread.lastAtMs = facts.atMs;
    this.#open.delete(thread); // to the end of the order
    this.#open.add(thread);
    this.#sessions.set(facts.session, thread);
    this.#answers.add(facts, { call: facts.id, session: facts.session, thread });
    return closed;
  }

  /** Closes what was not gone on with since `ms`, milliseconds since 1970. */
  closeBefore(ms: number): Conversation[] {
    const closed: Conversation[] = [];
    for (const thread of this.#open) {
      if (thread.lastAtMs >= ms) break;
      this.#open.delete(thread);
      closed.push(this.#toConversation(thread));
    }
    return closed;
  }

  /** Gives out what is open still. */
  end(): Conversation[] {
    return this.closeBefore(Infinity);
  }

  #place(facts: CallFacts): { readonly link: CallLink; readonly thread: Thread | null } {
    const own = this.#sessions.get(facts.session) ?? null;
    const found = this.#answers.find(facts);
    if (found.kind !== 'none') {
      // A session that was named holds what its client put there, and nothing else.
      const isBound = facts.isNamed || own !== null;
      const candidates = isBound
        ? found.candidates.filter(({ thread }) => thread.root === own?.root)
        : found.candidates;
      const roots = new Set(candidates.map(({ thread }) => thread.root));
      const parent = candidates.at(-1);
      if (parent !== undefined && roots.size === 1)
        return { link: { kind: found.kind, parent: parent.call }, thread: parent.thread };
      if (roots.size > 1)
        return { link: { kind: 'ambiguous', candidates: roots.size }, thread: null };
    }
    return { link: { kind: own === null ? 'first' : 'session' }, thread: own };
  }

  #goOn(thread: Thread): Thread {
    if (this.#open.has(thread)) return thread;
    const { root, id } = thread;
    const generation = thread.generation + 1;
    const next = { ...open(`${root}~${generation}`), root, generation, continues: id };
    thread.next = next;
    return next;
  }

  #toConversation({ id, continues, calls: all }: Thread): Conversation {
    const calls = all.splice(0); // the thread lives on in what is remembered
    const sessions = [...new Set(calls.map(({ facts }) => facts.session))];
    const unconsumed = markUnconsumed(calls, this.#retryMs);
    return {
      id,
      continues,
      sessions,
      calls: calls.map((call) => ({ ...call, isUnconsumed: unconsumed.has(call.facts.id) })),
    };
  }
}

function open(id: string): Thread {
  return { id, root: id, generation: 1, continues: null, calls: [], lastAtMs: 0, next: null };
}

function latest(thread: Thread): Thread {
  let last = thread;
  while (last.next !== null) last = last.next;
  return last;
}
