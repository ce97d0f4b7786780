import { randomBytes } from 'node:crypto';
import { Context } from '@temporalio/activity';
import { z } from 'zod';
import type { DatasetReader } from '../src/datasets/dataset-reader';
import { registerDataset } from '../src/datasets/register-dataset';
import { InvalidInputError, NotFoundError } from '../src/errors';
import type { TrainedPolicy, TrainingJob } from '../src/policies/policy-kind';
import { noHandOver, type HandOver } from '../src/ports/hand-over';
import type { Trainer } from '../src/ports/trainer';
import type { Project } from '../src/project';
import { readFeedback } from '../src/rollouts/read-feedback';
import type { Digest } from '../src/schemas/ids';
import { ObjectRef } from '../src/schemas/object-ref';
import {
  CreatePolicyInput,
  type CreatePolicyResult,
  TrainInput,
  type TrainResult,
} from '../src/schemas/stages';
import { CreateConfig } from '../src/schemas/train-config';
import { blobRef, putBlob } from '../src/storage/blobs';
import { checkpointDigest, readCheckpoint, writeCheckpoint } from '../src/storage/checkpoints';
import { checkpointFolder, runStateKey } from '../src/storage/keys';
import { readRef, putRef } from '../src/storage/object-ref';
import type { ObjectStore } from '../src/storage/object-store';
import { writeIterationRecord } from '../src/storage/run-records';
import { withClaim } from '../src/storage/sweep';
import { attemptName, resumeDetails, scheduledAt, startHeartbeat } from './heartbeat';
import { parseActivityInput } from './parse-activity-input';

export interface TrainDeps {
  readonly store: ObjectStore;
  readonly datasets: DatasetReader;
  readonly project: Project;
  readonly trainer: Trainer;
  /** Optimizer steps between two resumable states: what a killed training repeats at most. */
  readonly stateEvery: number;
  /** @default never */
  readonly handOver?: HandOver;
}

export interface TrainActivities {
  createPolicy(
    input: z.input<typeof CreatePolicyInput>,
  ): Promise<z.infer<typeof CreatePolicyResult>>;
  train(input: z.input<typeof TrainInput>): Promise<TrainResult>;
}

const Progress = z.strictObject({
  /** Optimizer steps. */
  done: z.int().min(0),
  of: z.int().min(0),
  loss: z.number().nullable(),
  /** The newest resumable state. */
  state: ObjectRef.nullable(),
});
type Progress = z.infer<typeof Progress>;

/**
 * Training, resumable. The state of every `stateEvery` steps is written under a key of this attempt's own and named in
 * the heartbeat; the next attempt goes on from it and ends in the same bytes. The checkpoint is content-addressed and
 * committed by its manifest, so a zombie attempt can only write what the living one writes too. A training that is handed
 * over ends with the state of its last step.
 */
export function createTrainActivities({
  store,
  datasets,
  project,
  trainer,
  stateEvery,
  handOver = noHandOver(),
}: TrainDeps): TrainActivities {
  const run = async (
    place: { readonly run: string; readonly iteration: number },
    prepare: () => Promise<TrainingJob>,
  ): Promise<{ readonly job: TrainingJob; readonly trained: TrainedPolicy }> => {
    const resumed = resumeDetails(Progress);
    let progress: Progress = resumed ?? { done: 0, of: 0, loss: null, state: null };
    const heartbeat = startHeartbeat(progress);
    const attempt = attemptName(randomBytes(4).toString('hex'));
    const written: string[] = [];
    try {
      const job = await prepare();
      const state = await readState(store, progress.state);
      if (state === null) progress = { ...progress, state: null };
      const trained = await trainer.train(job, {
        signal: Context.current().cancellationSignal,
        handOver: handOver.begun,
        stateEvery,
        ...(state === null ? {} : { resumeFrom: state }),
        onProgress: ({ done, of, loss }) => {
          progress = { ...progress, done, of, loss: Number.isFinite(loss) ? loss : null };
          heartbeat.set(progress);
        },
        onState: async (bytes) => {
          const key = runStateKey(place.run, place.iteration, `${attempt}-${written.length}`);
          const ref = await putRef(store, key, bytes);
          written.push(key);
          progress = { ...progress, state: ref };
          heartbeat.set(progress);
        },
      });
      // The result is complete: the states on the way to it, our own and the one we resumed from, are of no more use.
      const finished = progress.state === null ? written : [...written, progress.state.key];
      if (resumed?.state !== undefined && resumed.state !== null) finished.push(resumed.state.key);
      await tidy(store, finished);
      return { job, trained };
    } finally {
      heartbeat.stop();
    }
  };

  /** Writes the checkpoint; `record` then writes what names it, and from there on no garbage collection takes it. */
  const commit = async <T>(
    run: string,
    trained: TrainedPolicy,
    { kind, holds }: { readonly kind: string; readonly holds: readonly string[] },
    record: (checkpoint: Digest) => Promise<T>,
  ): Promise<T> => {
    const content = { files: trained.files, metadata: { kind } };
    const steps = trained.optimizerSteps;
    const done: Progress = { done: steps, of: steps, loss: null, state: null };
    const heartbeat = startHeartbeat(done);
    try {
      return await withClaim(
        store,
        { run, holds: [checkpointFolder(checkpointDigest(content)), ...holds] },
        async () => record(await writeCheckpoint(store, content)),
      );
    } finally {
      heartbeat.stop();
    }
  };

  return {
    async createPolicy(rawInput) {
      const input = parseActivityInput(CreatePolicyInput, rawInput, 'createPolicy');
      const registration = project.policies[input.policy];
      const source = project.datasets[registration?.createFrom.dataset ?? ''];
      if (registration === undefined || source === undefined) {
        throw new InvalidInputError(
          'the policy, or the dataset it is created from, is not registered on this worker',
          {
            context: { policy: input.policy },
          },
        );
      }
      const { kind } = registration.config;
      const { prior } = registration.createFrom;
      const { job, trained } = await run({ run: input.run, iteration: 0 }, async () => {
        const dataset = await registerDataset(
          store,
          registration.createFrom.dataset,
          await source(),
        );
        return {
          type: 'create',
          config: registration.config,
          ...(prior === undefined ? {} : { prior }),
          demonstrations:
            prior === undefined
              ? await datasets.demonstrations(registration.createFrom.dataset, dataset)
              : [],
          create: registration.create ?? CreateConfig.parse({}),
          seed: input.seed,
          dataset,
        };
      });
      return commit(input.run, trained, { kind, holds: [] }, async (checkpoint) => {
        await writeIterationRecord(store, {
          ...{ formatVersion: 1, kind: 'created', run: input.run, iteration: 0 },
          at: scheduledAt(),
          policy: input.policy,
          dataset: { name: registration.createFrom.dataset, digest: job.dataset },
          ...{ checkpoint, seed: input.seed },
        });
        return { checkpoint };
      });
    },

    async train(rawInput) {
      const input = parseActivityInput(TrainInput, rawInput, 'train');
      const { trained } = await run(input, async () => {
        const { files } = await readCheckpoint(store, input.parent);
        return {
          type: 'train',
          parent: { digest: input.parent, files },
          feedback: await readFeedback(store, input, files),
          replay: input.replay === null ? null : await readRef(store, input.replay),
          train: input.train,
          seed: input.seed,
          iteration: input.iteration + 1,
          dataset: input.dataset,
        };
      });
      const holds = [blobRef(trained.replay).key];
      return commit(input.run, trained, { kind: 'choice', holds }, async (checkpoint) => {
        const replay = await putBlob(store, trained.replay);
        const facts = {
          optimizerSteps: trained.optimizerSteps,
          examples: trained.examples,
          metrics: { ...trained.metrics },
        };
        await writeIterationRecord(store, {
          ...{ formatVersion: 1, kind: 'trained', run: input.run, iteration: input.iteration },
          at: scheduledAt(),
          ...{ policy: input.policy, dataset: input.dataset, parent: input.parent, checkpoint },
          ...{ batches: input.batches, rewards: input.rewards, weights: input.weights },
          replay: { before: input.replay, after: replay },
          ...{ train: input.train, seed: input.seed, ...facts },
        });
        return { checkpoint, replay, ...facts };
      });
    },
  };
}

/**
 * The state to go on from; null starts at the beginning. A state that is gone was tidied away by an attempt that finished its
 * training and died before its result was recorded: the same bytes come out again, only later.
 */
async function readState(store: ObjectStore, ref: ObjectRef | null): Promise<Uint8Array | null> {
  if (ref === null) return null;
  try {
    return await readRef(store, ref);
  } catch (error) {
    if (error instanceof NotFoundError) return null;
    throw error;
  }
}

async function tidy(store: ObjectStore, keys: readonly string[]): Promise<void> {
  try {
    await Promise.all(keys.map((key) => store.delete(key)));
  } catch {
    // The result stands: a state that stays behind is garbage under the run's own prefix, and harms nobody.
  }
}
