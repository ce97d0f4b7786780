import type { ObjectRef } from '../schemas/object-ref';
import type { SegmentLine } from '../schemas/trajectory';
import { encodeJsonLine } from '../storage/json-objects';
import { putRef } from '../storage/object-ref';
import type { ObjectStore } from '../storage/object-store';
import type { FinishedRollout } from './run-batch';

/** A trajectory, with everything that its decisions name. */
export interface Recorded extends Pick<FinishedRollout, 'trajectory'> {
  readonly recording: Pick<FinishedRollout['recording'], 'messages' | 'toolsets'>;
}

/** What happened to rollouts: counts by the kind of their outcome, and of what infrastructure lost by reason. */
export interface Tally {
  readonly outcomes: Readonly<Record<string, number>>;
  readonly drops: Readonly<Record<string, number>>;
}

/**
 * A segment that is being put together. A rollout becomes text when it is added: its objects can go at once, and writing the
 * segment does not stop the process while it spells out hundreds of rollouts.
 */
export interface SegmentDraft extends Tally {
  readonly rollouts: number;
  add(finished: Recorded): void;
  /** What a crash leaves, and the `ConflictError`, are those of `putRef`. */
  write(store: ObjectStore, key: string): Promise<ObjectRef>;
}

export function createSegmentDraft(): SegmentDraft {
  const outcomes: Record<string, number> = {};
  const drops: Record<string, number> = {};
  const written = new Set<string>(); // messages and toolsets
  const parts: Uint8Array[] = [];
  let rollouts = 0;
  return {
    outcomes,
    drops,
    get rollouts() {
      return rollouts;
    },
    add(finished) {
      let text = '';
      for (const line of segmentLines([finished], written)) text += encodeJsonLine(line);
      parts.push(Buffer.from(text));
      rollouts += 1;
      const { outcome } = finished.trajectory;
      if (outcome === null) return; // live traffic only; a rollout always has an outcome
      outcomes[outcome.kind] = (outcomes[outcome.kind] ?? 0) + 1;
      if (outcome.kind === 'infraFailed') drops[outcome.reason] = (drops[outcome.reason] ?? 0) + 1;
    },
    write: (store, key) => putRef(store, key, Buffer.concat(parts)),
  };
}

/**
 * The lines of a segment: each message and toolset once, before the first trajectory that names it.
 *
 * @param written ids of the messages and toolsets that the segment holds already; grows.
 */
export function* segmentLines(
  finished: readonly Recorded[],
  written = new Set<string>(),
): Generator<SegmentLine> {
  for (const { trajectory, recording } of finished) {
    for (const [id, tools] of recording.toolsets) {
      if (written.has(id)) continue;
      written.add(id);
      yield { type: 'toolset', id, tools: [...tools] };
    }
    for (const [id, message] of recording.messages) {
      if (written.has(id)) continue;
      written.add(id);
      yield { type: 'message', id, message };
    }
    yield { type: 'trajectory', trajectory };
  }
}
