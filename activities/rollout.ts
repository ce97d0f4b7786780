import { randomBytes } from 'node:crypto';
import { setMaxListeners } from 'node:events';
import { Context } from '@temporalio/activity';
import { z } from 'zod';
import type { DatasetReader } from '../src/datasets/dataset-reader';
import { InvalidInputError } from '../src/errors';
import { createGateway } from '../src/gateway/app';
import { createBatchRecorder } from '../src/gateway/batch-recorder';
import { createRoutingReader } from '../src/gateway/routing-reader';
import { serveGateway, type ServedGateway } from '../src/gateway/serve';
import { mintSessionToken } from '../src/gateway/session-token';
import { sumCounts } from '../src/loop/drops';
import type { PolicyServer } from '../src/policies/policy-server';
import type { AgentRunner } from '../src/ports/agent-runner';
import type { BatchManifest } from '../src/rollouts/batch-manifest';
import {
  runBatch,
  segmentLines,
  type FinishedRollout,
  type PlannedRollout,
} from '../src/rollouts/run-batch';
import { selectTasks } from '../src/rollouts/select-tasks';
import { durationMs } from '../src/schemas/duration';
import { ObjectRef } from '../src/schemas/object-ref';
import { RollOutInput, type RollOutResult } from '../src/schemas/stages';
import { runSegmentKey } from '../src/storage/keys';
import { writeJsonLines } from '../src/storage/json-objects';
import type { ObjectStore } from '../src/storage/object-store';
import { attemptName, resumeDetails, startHeartbeat } from './heartbeat';
import { parseActivityInput } from './parse-activity-input';

export interface RolloutDeps {
  readonly store: ObjectStore;
  readonly datasets: DatasetReader;
  readonly policies: PolicyServer;
  /** @throws {InvalidInputError} for an agent that this worker has not registered. */
  readonly runnerFor: (agent: string) => AgentRunner;
  /** Rollouts per segment: what a killed worker loses is at most this many, per activity. @default 500 */
  readonly segmentRollouts?: number;
}

export interface RolloutActivities {
  rollOut(input: RollOutInput): Promise<RollOutResult>;
}

/** How long after its deadline a session's key still opens the gateway: the clock of one machine, so a minute is plenty. */
const KEY_SLACK_MS = 60_000;

const Progress = z.strictObject({
  /** Rollouts finished, for people. */
  done: z.int().min(0),
  of: z.int().min(0),
  /** Rollouts in committed segments: where the next attempt goes on. */
  committed: z.int().min(0),
  /** Segments that this execution's attempts have committed so far, in order. */
  segments: z.array(
    z.strictObject({
      ref: ObjectRef,
      outcomes: z.record(z.string(), z.int()),
      drops: z.record(z.string(), z.int()),
    }),
  ),
});
type Progress = z.infer<typeof Progress>;

function tally(
  finished: readonly FinishedRollout[],
): Pick<Progress['segments'][number], 'outcomes' | 'drops'> {
  const outcomes: Record<string, number> = {};
  const drops: Record<string, number> = {};
  for (const { trajectory } of finished) {
    if (trajectory.outcome === null) continue; // live traffic only; a rollout always has an outcome
    const { kind } = trajectory.outcome;
    outcomes[kind] = (outcomes[kind] ?? 0) + 1;
    if (trajectory.outcome.kind === 'infraFailed') {
      drops[trajectory.outcome.reason] = (drops[trajectory.outcome.reason] ?? 0) + 1;
    }
  }
  return { outcomes, drops };
}

/**
 * Runs one shard of a rollout batch. Agents talk to a gateway of this activity's own on loopback, so the batch's
 * trajectories are its own. Segments are written under keys unique to the attempt and named in the heartbeat: an attempt
 * that follows a crash goes on after the last of them. They count once this activity's result names the batch.
 */
export function createRolloutActivities({
  store,
  datasets,
  policies,
  runnerFor,
  segmentRollouts = 500,
}: RolloutDeps): RolloutActivities {
  return {
    async rollOut(rawInput) {
      const input = parseActivityInput(RollOutInput, rawInput, 'rollOut');
      const signal = Context.current().cancellationSignal;
      setMaxListeners(0, signal); // every agent that runs listens for the cancellation
      const runner = runnerFor(input.agent);
      const split = await datasets.tasks(input.datasetName, input.dataset, input.selection.split);
      if (split.length === 0) {
        throw new InvalidInputError(
          `the dataset has no tasks in the split ${input.selection.split}`,
          {
            context: { dataset: input.datasetName },
          },
        );
      }
      // A selection longer than its split holds a task more than once: each pass brings members of its own.
      const planned: PlannedRollout[] = selectTasks(split, input.selection, input.seed).flatMap(
        (selected) =>
          Array.from({ length: input.repeats }, (_, repeat) => ({
            selected,
            member: selected.pass * input.repeats + repeat,
          })),
      );

      let progress: Progress = resumeDetails(Progress) ?? {
        done: 0,
        of: planned.length,
        committed: 0,
        segments: [],
      };
      const heartbeat = startHeartbeat(progress);
      const recorder = createBatchRecorder();
      const signingKey = randomBytes(32); // this batch's keys open this batch's gateway and nothing else
      let server: ServedGateway | null = null;
      const attempt = `s${input.shard}-${attemptName(randomBytes(4).toString('hex'))}`;
      const timeoutMs = durationMs(input.rollouts.timeout);
      try {
        await policies.serve(input.checkpoint); // loaded before the first call, not inside it
        server = await serveGateway(
          createGateway({
            policies,
            routing: createRoutingReader(store),
            recorder,
            signingKey,
            apiKeys: null,
            rewards: null,
          }),
        );
        const baseUrl = `${server.url}/v1`;
        for (let from = progress.committed; from < planned.length; from = progress.committed) {
          const chunk = planned.slice(from, from + segmentRollouts);
          let done = from;
          const finished = await runBatch(
            {
              run: input.run,
              iteration: input.iteration,
              agent: input.agent,
              model: `ratchet/${input.policy}`,
              ...(input.go === undefined ? {} : { go: input.go }),
            },
            chunk,
            {
              runner,
              recorder,
              baseUrl,
              mintKey: (session, { selected, member }) =>
                mintSessionToken(signingKey, {
                  session,
                  agent: input.agent,
                  policy: input.policy,
                  checkpoint: input.checkpoint,
                  sampling: { temperature: input.temperature },
                  draw: {
                    seed: input.seed,
                    iteration: input.iteration,
                    task: selected.task.id,
                    member,
                  },
                  expiresAt: Math.ceil((Date.now() + timeoutMs + KEY_SLACK_MS) / 1000),
                }),
            },
            {
              concurrency: input.rollouts.concurrency,
              timeoutMs,
              attempts: input.rollouts.attempts,
              signal,
              onFinished: () => {
                done += 1;
                heartbeat.set({ ...progress, done });
              },
            },
          );
          const key = runSegmentKey(
            input.run,
            input.iteration,
            'trajectories',
            `${attempt}-${from}`,
          );
          const ref = await writeJsonLines(store, key, segmentLines(finished));
          progress = {
            done: from + chunk.length,
            of: planned.length,
            committed: from + chunk.length,
            segments: [...progress.segments, { ref, ...tally(finished) }],
          };
          heartbeat.set(progress);
        }
      } finally {
        heartbeat.stop();
        await server?.close(0);
      }
      const manifest: BatchManifest = {
        formatVersion: 1,
        checkpoint: input.checkpoint,
        segments: progress.segments.map(({ ref }) => ref),
        rollouts: planned.length,
        outcomes: sumCounts(progress.segments.map(({ outcomes }) => outcomes)),
        drops: sumCounts(progress.segments.map(({ drops }) => drops)),
      };
      const batch = await writeJsonLines(
        store,
        runSegmentKey(input.run, input.iteration, 'trajectories', `${attempt}-batch`),
        [manifest],
      );
      return {
        batch,
        rollouts: manifest.rollouts,
        outcomes: manifest.outcomes,
        drops: manifest.drops,
      };
    },
  };
}
