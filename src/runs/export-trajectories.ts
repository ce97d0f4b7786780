import { IntegrityError, InvalidInputError } from '../errors';
import { readBatch, readSegment, type Segment } from '../rollouts/segment-reader';
import type { Decision } from '../schemas/decision';
import type { Message, Tool } from '../schemas/message';
import type { ObjectRef } from '../schemas/object-ref';
import { RewardRecord } from '../schemas/reward';
import type { Trajectory } from '../schemas/trajectory';
import { hashOf } from '../storage/hashing';
import { describeBytes } from '../storage/object-ref';
import type { ObjectStore } from '../storage/object-store';
import type { StoredRun } from './run-catalog';

export interface ExportOptions {
  /** As people count, from 1; all of them when left out. */
  readonly iteration?: number;
}

export interface ExportedTrajectory {
  readonly type: 'trajectory';
  readonly run: string;
  /** As people count, from 1. */
  readonly iteration: number;
  readonly checkpoint: string;
  readonly trajectory: Omit<Trajectory, 'decisions'> & {
    readonly decisions: readonly (Omit<Decision, 'context' | 'output'> & {
      readonly messages: readonly Message[];
      readonly answer: Message;
    })[];
  };
  readonly rewards: readonly RewardRecord[];
}

export type ExportedLine =
  | ExportedTrajectory
  | { readonly type: 'toolset'; readonly id: string; readonly tools: readonly Tool[] };

/**
 * Every trajectory of a run that counts, once, in the order in which it was rolled out: messages in place of their ids, and its rewards
 * beside it. Tools, of which a request may carry hundreds, come once, on a line of their own before the first trajectory that names them.
 * One segment is in memory at a time, with its rewards: those lie in the order of the segments.
 *
 * @throws {InvalidInputError} if the run has no such iteration, or has lost its trajectories to garbage collection.
 * @throws {IntegrityError} naming the segment that is damaged, before a line of it is given.
 */
export async function* exportTrajectories(
  store: ObjectStore,
  { run, iterations, droppedAt, lastAt }: StoredRun,
  { iteration: wanted }: ExportOptions = {},
): AsyncGenerator<ExportedLine> {
  if (droppedAt !== null && (lastAt ?? '') <= droppedAt) {
    throw new InvalidInputError(
      `the trajectories of this run are gone: garbage collection dropped it on ${droppedAt}, as \`--runs-older-than\` asked`,
      { context: { run } },
    );
  }
  const chosen = iterations.filter(
    ({ iteration, scored }) =>
      scored !== null && (wanted === undefined || iteration === wanted - 1),
  );
  if (chosen.length === 0) {
    const known = iterations.filter(({ scored }) => scored !== null);
    throw new InvalidInputError(
      wanted === undefined
        ? 'the run has scored no batch yet: there is nothing to export'
        : `the run has no scored iteration ${wanted}: expected one of ${known.map(({ iteration }) => iteration + 1).join(', ') || '(none yet)'}`,
      { context: { run } },
    );
  }
  const toolsets = new Set<string>();
  for (const { iteration, scored } of chosen) {
    if (scored === null) continue;
    const rewards = await openRewards(store, scored.rewards);
    for (const batch of scored.batches) {
      const manifest = await readBatch(store, batch);
      for (const ref of manifest.segments) {
        const segment = await readSegment(store, ref);
        const scores = await rewards.of(new Set(segment.trajectories.map(({ id }) => id)));
        for (const trajectory of segment.trajectories) {
          for (const { toolset } of trajectory.decisions) {
            if (toolset === null || toolsets.has(toolset)) continue;
            toolsets.add(toolset);
            yield { type: 'toolset', id: toolset, tools: segment.toolset(toolset) };
          }
          yield {
            type: 'trajectory',
            ...{ run, iteration: iteration + 1, checkpoint: manifest.checkpoint },
            trajectory: inline(segment, trajectory),
            rewards: scores.get(trajectory.id) ?? [],
          };
        }
      }
    }
    await rewards.end();
  }
}

function inline(
  segment: Segment,
  { decisions, ...trajectory }: Trajectory,
): ExportedTrajectory['trajectory'] {
  return {
    ...trajectory,
    decisions: decisions.map(({ context, output, ...decision }) => ({
      ...decision,
      messages: context.map((id) => segment.message(id)),
      answer: segment.message(output),
    })),
  };
}

interface Rewards {
  /** The rewards of one segment's trajectories. */
  of(trajectories: ReadonlySet<string>): Promise<ReadonlyMap<string, readonly RewardRecord[]>>;
  /** @throws {IntegrityError} if a reward was left over. */
  end(): Promise<void>;
}

/** Rewards in step with segments. @throws {IntegrityError} if they are not what was committed. */
async function openRewards(store: ObjectStore, ref: ObjectRef): Promise<Rewards> {
  const got = await hashOf(store, ref.key);
  if (got.sha256 !== ref.sha256) {
    throw new IntegrityError(
      `stored rewards are not the ones that were committed: expected ${describeBytes(ref)}, got ${describeBytes(got)}; see \`ratchet store verify\``,
      { context: { key: ref.key } },
    );
  }
  const lines = linesOf(store, ref.key);
  const next = async (): Promise<RewardRecord | null> => {
    const line = await lines.next();
    return line.done === true ? null : RewardRecord.parse(JSON.parse(line.value));
  };
  let ahead = await next();
  return {
    async of(trajectories) {
      const found = new Map<string, RewardRecord[]>();
      while (ahead !== null && trajectories.has(ahead.trajectory)) {
        found.set(ahead.trajectory, [...(found.get(ahead.trajectory) ?? []), ahead]);
        ahead = await next();
      }
      return found;
    },
    async end() {
      if (ahead === null) return;
      throw new IntegrityError(
        'rewards do not lie in the order of their segments, or one is of no trajectory of its batch: the export is not complete',
        { context: { key: ref.key, trajectory: ahead.trajectory } },
      );
    },
  };
}

async function* linesOf(store: ObjectStore, key: string): AsyncGenerator<string> {
  const decoder = new TextDecoder('utf-8', { fatal: true });
  let rest = '';
  for await (const chunk of store.getStream(key)) {
    rest += decoder.decode(chunk, { stream: true });
    const lines = rest.split('\n');
    rest = lines.pop() ?? '';
    yield* lines;
  }
}
