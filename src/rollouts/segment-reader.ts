import { IntegrityError } from '../errors';
import type { Message, Tool } from '../schemas/message';
import type { ObjectRef } from '../schemas/object-ref';
import { SegmentLine, type Trajectory } from '../schemas/trajectory';
import { readJson, readJsonLines } from '../storage/json-objects';
import type { ObjectStore } from '../storage/object-store';
import { BatchManifest } from './batch-manifest';

/** One segment, parsed and verified. */
export interface Segment {
  readonly trajectories: readonly Trajectory[];
  /** @throws {IntegrityError} if the segment holds no such message. */
  message(id: string): Message;
  /** The same array for the same id: masks are computed once per toolset. */
  toolset(id: string): readonly Tool[];
}

/** @throws {IntegrityError} if the batch's manifest is not the one that the reference was made from. */
export function readBatch(store: ObjectStore, batch: ObjectRef): Promise<BatchManifest> {
  return readJson(store, batch, BatchManifest);
}

/** The segments of some batches, one in memory at a time, in the order written. */
export async function* readSegments(
  store: ObjectStore,
  batches: readonly ObjectRef[],
): AsyncGenerator<Segment> {
  for (const batch of batches) {
    const { segments } = await readBatch(store, batch);
    for (const segment of segments) yield await readSegment(store, segment);
  }
}

export async function readSegment(store: ObjectStore, ref: ObjectRef): Promise<Segment> {
  const messages = new Map<string, Message>();
  const toolsets = new Map<string, readonly Tool[]>();
  const trajectories: Trajectory[] = [];
  for (const line of await readJsonLines(store, ref, SegmentLine)) {
    switch (line.type) {
      case 'message':
        messages.set(line.id, line.message);
        break;
      case 'toolset':
        toolsets.set(line.id, line.tools);
        break;
      case 'trajectory':
        trajectories.push(line.trajectory);
        break;
    }
  }
  const find = <T>(map: ReadonlyMap<string, T>, what: string, id: string): T => {
    const found = map.get(id);
    if (found === undefined) {
      throw new IntegrityError(`a segment lacks a ${what} that a decision names`, {
        context: { key: ref.key, id },
      });
    }
    return found;
  };
  return {
    trajectories,
    message: (id) => find(messages, 'message', id),
    toolset: (id) => find(toolsets, 'toolset', id),
  };
}
