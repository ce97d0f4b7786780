/** What may be shown of a text so far. */
export interface Shown {
  /** New since the last time. */
  readonly text: string;
  /** The stop string that ends it; null while it goes on. */
  readonly stop: string | null;
}

/**
 * Ends a text before the first of several stop strings. An end that could still become one of them is held back, so what was shown
 * never has to be taken back.
 */
export class StopStrings {
  readonly #stops: readonly string[];
  #held = '';

  constructor(stops: readonly string[]) {
    this.#stops = stops.filter((stop) => stop !== '');
  }

  push(text: string): Shown {
    if (this.#stops.length === 0) return { text, stop: null };
    const all = this.#held + text;
    const found = this.#stops
      .map((stop) => ({ stop, at: all.indexOf(stop) }))
      .filter(({ at }) => at >= 0)
      .sort((a, b) => a.at - b.at || b.stop.length - a.stop.length)[0];
    if (found !== undefined) {
      this.#held = '';
      return { text: all.slice(0, found.at), stop: found.stop };
    }
    const held = Math.max(...this.#stops.map((stop) => overlap(all, stop)));
    this.#held = all.slice(all.length - held);
    return { text: all.slice(0, all.length - held), stop: null };
  }

  /** @returns what was held back: no stop string came of it. */
  end(): string {
    const held = this.#held;
    this.#held = '';
    return held;
  }
}

/** The length of the longest end of `text` that `stop` begins with. */
function overlap(text: string, stop: string): number {
  for (let n = Math.min(text.length, stop.length - 1); n > 0; n--) {
    if (text.endsWith(stop.slice(0, n))) return n;
  }
  return 0;
}
