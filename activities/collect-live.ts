import { randomBytes } from 'node:crypto';
import { setTimeout as wait } from 'node:timers/promises';
import { Context } from '@temporalio/activity';
import type { z } from 'zod';
import { createSegmentDraft } from '../src/rollouts/segment-draft';
import { durationMs } from '../src/schemas/duration';
import type { ObjectRef } from '../src/schemas/object-ref';
import type { RewardRecord } from '../src/schemas/reward';
import { CollectLiveInput, type CollectLiveResult } from '../src/schemas/stages';
import { estimateMean } from '../src/stats/mean-estimate';
import { sha256Hex } from '../src/storage/digest';
import { writeJsonLines } from '../src/storage/json-objects';
import { runSegmentKey } from '../src/storage/keys';
import type { ObjectStore } from '../src/storage/object-store';
import { writeIterationRecord } from '../src/storage/run-records';
import { toLiveExample, type LiveExample } from '../src/trajectories/live-example';
import { readLiveDecisions } from '../src/trajectories/read-live-decisions';
import { attemptName, scheduledAt, startHeartbeat } from './heartbeat';
import { parseActivityInput } from './parse-activity-input';

export interface CollectLiveDeps {
  readonly store: ObjectStore;
  readonly now: () => number;
  /** Before it looks again, and at least three times as long as the last look took. @default 5 s */
  readonly pollMs?: number;
  /** @default 2000 */
  readonly segmentDecisions?: number;
}

export interface CollectLiveActivities {
  collectLive(input: z.input<typeof CollectLiveInput>): Promise<CollectLiveResult>;
}

/**
 * Reads what live callers said about answers of a policy, and writes it down as a batch that training reads like one of rollouts: which
 * decisions an iteration has learned from does not change with feedback that comes later. Written under keys of this attempt's own; they
 * count once its result names them.
 */
export function createCollectLiveActivities({
  store,
  now,
  pollMs = 5_000,
  segmentDecisions = 2_000,
}: CollectLiveDeps): CollectLiveActivities {
  interface Part {
    readonly examples: readonly LiveExample[];
    readonly name: string;
  }

  const look = async (
    { live, policy, weights, from }: CollectLiveInput,
    toMs: number,
  ): Promise<{ examples: LiveExample[]; drops: Record<string, number> }> => {
    const examples: LiveExample[] = [];
    const drops: Record<string, number> = {};
    const fromMs = Date.parse(from);
    if (toMs <= fromMs) return { examples, drops };
    const { agent, costPerCall } = live;
    const query = { agent, fromMs, toMs, asOfMs: now(), filter: { policy, hasFeedback: true } };
    const options = { weights, costPerCall, at: new Date(toMs).toISOString() };
    for await (const decision of readLiveDecisions(store, query)) {
      Context.current().cancellationSignal.throwIfAborted();
      const example = toLiveExample(decision, options);
      if (example === null) continue;
      if ('dropped' in example) drops[example.dropped] = (drops[example.dropped] ?? 0) + 1;
      else examples.push(example);
    }
    return { examples, drops };
  };

  const write = async (
    input: CollectLiveInput,
    { examples, name }: Part,
    drops: Record<string, number>,
  ): Promise<{ batches: ObjectRef[]; rewards: ObjectRef }> => {
    const { run, iteration, checkpoint } = input;
    const attempt = `${attemptName(randomBytes(4).toString('hex'))}-${name}`;
    const segments: ObjectRef[] = [];
    for (let at = 0; at < examples.length; at += segmentDecisions) {
      const draft = createSegmentDraft();
      for (const { trajectory, messages, toolsets } of examples.slice(at, at + segmentDecisions)) {
        draft.add({ trajectory, recording: { messages, toolsets } });
      }
      const key = runSegmentKey(run, iteration, 'trajectories', `${attempt}-${segments.length}`);
      segments.push(await draft.write(store, key));
    }
    const outcomes = { completed: examples.length };
    const batch = await writeJsonLines(
      store,
      runSegmentKey(run, iteration, 'trajectories', `${attempt}-batch`),
      [{ formatVersion: 1, checkpoint, segments, rollouts: examples.length, outcomes, drops }],
    );
    const records: RewardRecord[] = examples.flatMap(({ rewards }) => rewards);
    const rewards = await writeJsonLines(
      store,
      runSegmentKey(run, iteration, 'rewards', attempt),
      records,
    );
    await writeIterationRecord(store, {
      ...{ formatVersion: 1, kind: 'scored', run, iteration, at: scheduledAt() },
      dataset: { name: input.datasetName, digest: input.dataset },
      ...{ batches: [batch], rewards, weights: input.weights, outcomes, drops },
      reward: estimateMean(examples.map(({ reward }) => reward)),
      metrics: metricsOf(records),
      rollouts: examples.length,
    });
    return { batches: [batch], rewards };
  };

  return {
    async collectLive(rawInput) {
      const input = parseActivityInput(CollectLiveInput, rawInput, 'collectLive');
      const { live } = input;
      const signal = Context.current().cancellationSignal;
      const heartbeat = startHeartbeat({ done: 0, of: live.decisions });
      const deadline = performance.now() + durationMs(input.patience);
      try {
        for (;;) {
          const startedAt = performance.now();
          const toMs = now() - durationMs(live.settle);
          const { examples, drops } = await look(input, toMs);
          heartbeat.set({ done: examples.length, of: live.decisions });
          if (examples.length >= live.decisions) {
            const heldOut = examples.filter((example) => isHeldOut(example, live.heldOut));
            const training = examples.filter((example) => !isHeldOut(example, live.heldOut));
            return {
              kind: 'collected',
              to: new Date(toMs).toISOString(),
              training: await write(input, { examples: training, name: 'live' }, drops),
              heldOut:
                heldOut.length === 0
                  ? null
                  : await write(input, { examples: heldOut, name: 'held-out' }, {}),
              decisions: examples.length,
              reward: estimateMean(examples.map(({ reward }) => reward)),
              drops,
            };
          }
          const pause = Math.max(pollMs, 3 * (performance.now() - startedAt));
          if (performance.now() + pause > deadline) {
            return { kind: 'waiting', decisions: examples.length };
          }
          await wait(pause, undefined, { signal });
        }
      } finally {
        heartbeat.stop();
      }
    },
  };
}

/** By the last message of the request: what is asked twice is on one side. */
function isHeldOut({ trajectory }: LiveExample, share: number): boolean {
  const asked = trajectory.decisions[0]?.context.at(-1) ?? '';
  return parseInt(sha256Hex(`held-out ${asked}`).slice(0, 12), 16) / 2 ** 48 < share;
}

function metricsOf(
  records: readonly RewardRecord[],
): Record<string, NonNullable<ReturnType<typeof estimateMean>>> {
  const values = new Map<string, number[]>();
  for (const { scorer, value } of records) {
    const list = values.get(scorer);
    if (list === undefined) values.set(scorer, [value]);
    else list.push(value);
  }
  return Object.fromEntries(
    [...values].flatMap(([scorer, list]) => {
      const estimate = estimateMean(list);
      return estimate === null ? [] : [[scorer, estimate]];
    }),
  );
}
