/** Collects concurrent calls into batches of at most `size`. */
export interface MicroBatcher<Item, Result> {
  /** Resolves with what `run` gave for this item; rejects with what `run` threw for its batch. */
  submit(item: Item): Promise<Result>;
}

/**
 * A batch goes out when it is full, or else on the next turn of the event loop: whoever calls in the same turn shares it, and
 * a lone call does not wait for company. While one is out, calls gather until it is back: they would only queue behind it.
 *
 * @param run gives one result per item, in order.
 */
export function createMicroBatcher<Item, Result>(
  size: number,
  run: (items: readonly Item[]) => Promise<readonly Result[]>,
): MicroBatcher<Item, Result> {
  interface Waiting {
    readonly item: Item;
    readonly resolve: (result: Result) => void;
    readonly reject: (reason: unknown) => void;
  }
  let waiting: Waiting[] = [];
  let scheduled: NodeJS.Immediate | null = null;
  let out = 0;

  const flush = (): void => {
    const batch = waiting;
    waiting = [];
    if (scheduled !== null) clearImmediate(scheduled);
    scheduled = null;
    out += 1;
    const back = (): void => {
      out -= 1;
      if (out === 0 && waiting.length > 0) flush();
    };
    run(batch.map(({ item }) => item)).then(
      (results) => {
        back();
        batch.forEach(({ resolve }, i) => resolve(results[i] as Result));
      },
      (reason: unknown) => {
        back();
        batch.forEach(({ reject }) => reject(reason));
      },
    );
  };

  return {
    submit: (item) =>
      new Promise((resolve, reject) => {
        waiting.push({ item, resolve, reject });
        if (waiting.length === size) flush();
        else if (out === 0) scheduled ??= setImmediate(flush);
      }),
  };
}
