import type { CallFacts } from './call-facts';

/** Why a call is taken to go on from another. */
export type LinkKind =
  /** It names the other's id, or the conversation that an upstream holds. */
  | 'id'
  /** It holds the other's answer after all that was said before it. */
  | 'answer'
  /** It holds the other's answer after what was said right before it: its client shortened the conversation. */
  | 'pair';

export type Found<T> =
  { readonly kind: LinkKind; readonly candidates: readonly T[] } | { readonly kind: 'none' };

/** What so many calls were answered alike tells nobody apart: the latest are enough to see that. */
const MAX_CANDIDATES = 32;

/** The answers that were given lately, by all under which a later call may hold them. Forgets what is older than `rememberMs`. */
export class AnswerIndex<T> {
  readonly #known = new Map<string, T[]>();
  readonly #conversations = new Map<string, T>();
  #queue: { readonly atMs: number; readonly keys: readonly string[]; readonly value: T }[] = [];
  #forgotten = 0; // entries at the head of the queue

  constructor(
    readonly rememberMs: number,
    readonly onForget: (value: T, beforeMs: number) => void,
  ) {}

  find({ previousId, conversationId, heard }: CallFacts): Found<T> {
    if (previousId !== null) return this.#named(this.#known.get(`id ${previousId}`));
    if (conversationId !== null) {
      const last = this.#conversations.get(conversationId);
      return this.#named(last === undefined ? undefined : [last]);
    }
    for (const { whole, pair } of heard) {
      const exact = this.#known.get(`whole ${whole}`);
      if (exact !== undefined) return { kind: 'answer', candidates: exact };
      const close = pair === null ? undefined : this.#known.get(`pair ${pair}`);
      if (close !== undefined) return { kind: 'pair', candidates: close };
    }
    return { kind: 'none' };
  }

  /** An id that is named decides: what the request holds beside it is only what is new. */
  #named(candidates: readonly T[] | undefined): Found<T> {
    return candidates === undefined ? { kind: 'none' } : { kind: 'id', candidates };
  }

  add({ atMs, ids, answers, conversationId }: CallFacts, value: T): void {
    const keys = new Set([
      ...ids.map((id) => `id ${id}`),
      ...answers.map(({ whole }) => `whole ${whole}`),
      ...answers.flatMap(({ pair }) => (pair === null ? [] : [`pair ${pair}`])),
    ]);
    for (const key of keys) {
      const known = this.#known.get(key);
      if (known === undefined) this.#known.set(key, [value]);
      else if (known.push(value) > MAX_CANDIDATES) known.shift();
    }
    if (conversationId !== null) this.#conversations.set(conversationId, value);
    this.#queue.push({
      atMs,
      value,
      keys: conversationId === null ? [...keys] : [...keys, conversationId],
    });
  }

  /** To be told how late it is. @param nowMs milliseconds since 1970. */
  forget(nowMs: number): void {
    const ms = nowMs - this.rememberMs;
    for (;;) {
      const oldest = this.#queue[this.#forgotten];
      if (oldest === undefined || oldest.atMs >= ms) break;
      this.#forgotten++;
      for (const key of oldest.keys) {
        const rest = this.#known.get(key)?.filter((one) => one !== oldest.value) ?? [];
        if (rest.length === 0) this.#known.delete(key);
        else this.#known.set(key, rest);
        if (this.#conversations.get(key) === oldest.value) this.#conversations.delete(key);
      }
      this.onForget(oldest.value, ms);
    }
    if (this.#forgotten < 1_024 || this.#forgotten * 2 < this.#queue.length) return;
    this.#queue = this.#queue.slice(this.#forgotten);
    this.#forgotten = 0;
  }
}
