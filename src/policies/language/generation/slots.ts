import type { KvCache } from './kv-cache';

/** A place in the cache: whose it is, and the tokens that it holds keys and values of. */
interface Slot<Owner> {
  /** null: nobody's any more, but still good as the beginning of another sequence. */
  owner: Owner | null;
  content: number[];
  /** When it was given up; the least recent goes first. */
  freedAt: number;
}

/** Fewer tokens in common are not worth the reading one by one that they cost. */
export const SHORTEST_PREFIX = 16;

/**
 * Which sequence is where in the cache. Those that are owned stand at its start without gaps, in the order that they are kept in by
 * `swap`. What a sequence left behind stays until its place is needed: the next turn of a conversation begins with it.
 */
export class Slots<Owner extends { slot: number }> {
  readonly #cache: KvCache;
  readonly #slots: Slot<Owner>[];
  #owned = 0;
  #clock = 0;

  constructor(cache: KvCache) {
    this.#cache = cache;
    this.#slots = Array.from({ length: cache.slots }, () => ({
      owner: null,
      content: [],
      freedAt: 0,
    }));
  }

  /** How many are owned. */
  get owned(): number {
    return this.#owned;
  }

  get isFull(): boolean {
    return this.#owned === this.#slots.length;
  }

  contentOf(slot: number): number[] {
    return this.#at(slot).content;
  }

  /**
   * Gives the owner the slot behind all that are owned, which then holds the longest beginning of its prompt that is anywhere in the
   * cache. At least the prompt's last token is left to read.
   *
   * @returns how many tokens are there already.
   */
  take(owner: Owner, prompt: readonly number[]): number {
    const target = this.#owned;
    const { slot: source, length } = this.#longestPrefix(prompt);
    const isShared = source >= 0 && source < this.#owned;
    const place = source >= this.#owned ? source : this.#leastRecent();
    this.swap(place, target);
    if (isShared) this.#cache.copy(source, target, length);
    const slot = this.#at(target);
    slot.owner = owner;
    slot.content = prompt.slice(0, length);
    owner.slot = target;
    this.#owned++;
    return length;
  }

  /** Gives a slot up; the last one that is owned takes its place. */
  free(slot: number): void {
    this.#at(slot).owner = null;
    this.#at(slot).freedAt = ++this.#clock;
    this.#owned--;
    this.swap(slot, this.#owned);
  }

  swap(one: number, other: number): void {
    if (one === other) return;
    const [a, b] = [this.#at(one), this.#at(other)];
    const positions = Math.max(a.content.length, b.content.length);
    if (positions > 0) this.#cache.swap(one, other, positions);
    [this.#slots[one], this.#slots[other]] = [b, a];
    if (a.owner !== null) a.owner.slot = other;
    if (b.owner !== null) b.owner.slot = one;
  }

  #at(slot: number): Slot<Owner> {
    return this.#slots[slot] as Slot<Owner>;
  }

  #leastRecent(): number {
    let best = this.#owned;
    for (let i = this.#owned; i < this.#slots.length; i++) {
      if (this.#at(i).freedAt < this.#at(best).freedAt) best = i;
    }
    return best;
  }

  /** A slot that is nobody's is taken before one that would have to be copied. */
  #longestPrefix(prompt: readonly number[]): { readonly slot: number; readonly length: number } {
    let found = { slot: -1, length: 0 };
    for (let i = this.#slots.length - 1; i >= 0; i--) {
      const length = commonPrefix(this.#at(i).content, prompt, prompt.length - 1);
      if (length >= SHORTEST_PREFIX && length > found.length) found = { slot: i, length };
    }
    return found;
  }
}

function commonPrefix(a: readonly number[], b: readonly number[], most: number): number {
  const end = Math.min(a.length, b.length, most);
  let n = 0;
  while (n < end && a[n] === b[n]) n++;
  return n;
}
