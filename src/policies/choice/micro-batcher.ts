/** Collects concurrent calls into batches of at most `size`. */
export interface MicroBatcher<Item, Result> {
  /** Resolves with what `run` gave for this item; rejects with what `run` threw for its batch. */
  submit(item: Item): Promise<Result>;
}

/**
 * A batch goes out when it is full, or else on the next turn of the event loop: whoever calls in the same turn shares it, and
 * a lone call does not wait for company.
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

  const flush = (): void => {
    const batch = waiting;
    waiting = [];
    if (scheduled !== null) clearImmediate(scheduled);
    scheduled = null;
    run(batch.map(({ item }) => item)).then(
      (results) => batch.forEach(({ resolve }, i) => resolve(results[i] as Result)),
      (reason: unknown) => batch.forEach(({ reject }) => reject(reason)),
    );
  };

  return {
    submit: (item) =>
      new Promise((resolve, reject) => {
        waiting.push({ item, resolve, reject });
        if (waiting.length === size) flush();
        else scheduled ??= setImmediate(flush);
      }),
  };
}
