import type { TrainingDrop } from './algorithm';

/** Counts what is left out, by reason. */
export class DropCount {
  readonly #counts = new Map<TrainingDrop, number>();

  add(reason: TrainingDrop, count = 1): void {
    if (count > 0) this.#counts.set(reason, (this.#counts.get(reason) ?? 0) + count);
  }

  counts(): Readonly<Partial<Record<TrainingDrop, number>>> {
    return Object.fromEntries(this.#counts);
  }
}
