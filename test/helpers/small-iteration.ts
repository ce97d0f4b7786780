import type { Info } from '@temporalio/activity';
import { ApplicationFailure } from '@temporalio/common';
import { createEvaluateActivities, type EvaluateActivities } from '../../activities/evaluate';
import { withFailureMap } from '../../activities/failure';
import { createPromoteActivities, type PromoteActivities } from '../../activities/promote';
import { withQuarantine } from '../../activities/quarantine';
import { createRolloutActivities, type RolloutActivities } from '../../activities/rollout';
import { createScoreActivities, type ScoreActivities } from '../../activities/score';
import { createTrainActivities, type TrainActivities } from '../../activities/train';
import { createModuleRunner } from '../../src/adapters/agents/module-runner';
import { createDatasetReader } from '../../src/datasets/dataset-reader';
import type { TrainedPolicy, TrainingJob } from '../../src/policies/policy-kind';
import type { PolicyServer } from '../../src/policies/policy-server';
import type { Trainer } from '../../src/ports/trainer';
import type { Project } from '../../src/project';
import type { Digest } from '../../src/schemas/ids';
import { RunConfig } from '../../src/schemas/run-config';
import {
  RollOutInput,
  type CompareInput,
  type RollOutResult,
  type RoutingOutcome,
  type ScoreResult,
} from '../../src/schemas/stages';
import { canonicalJson } from '../../src/storage/canonical-json';
import { readCheckpoint } from '../../src/storage/checkpoints';
import { sha256Hex } from '../../src/storage/digest';
import type { ObjectStore } from '../../src/storage/object-store';
import { activityEnvironment, agent, config, resolved, source } from '../activities/desk';
import { textOfJob } from '../activities/recording-trainer';
import { createFakePolicyServer } from '../fakes/fake-policy-server';

// One iteration of the loop, through the real activities, with a policy that costs nothing to train or to ask.

export const RUN = 'desk-1.00000000-0000-0000-0000-000000000001';
export const POLICY = 'support';
const COUNTS = { train: 4, select: 2, gate: 4, report: 2 };
const EXECUTION = {
  workflowId: 'desk-1',
  runId: '00000000-0000-0000-0000-000000000001',
} as const;

const project: Project = {
  agents: { desk: { kind: 'module', run: agent } },
  scorers: [resolved],
  datasets: { desk: async () => source(COUNTS) },
  policies: { [POLICY]: { config, createFrom: { dataset: 'desk' } } },
};

export const runConfig = RunConfig.parse({
  ...{ policy: POLICY, dataset: 'desk', agent: 'desk', iterations: 2, tasksPerIteration: 4 },
  reward: { weights: { resolved: 1 } },
  gate: { target: 'resolved', resamples: 1000 },
  approval: { approvers: ['ops-lead'] },
});

/** Trains nothing, and commits what a real training does: the same job gives the same files, and they say what they come from. */
export const deterministicTrainer: Trainer = {
  async train(job, { onState } = {}): Promise<TrainedPolicy> {
    await onState?.(Buffer.from(`state of ${sha256Hex(textOfJob(job))}`));
    const replay = Buffer.from(`{"job":"${sha256Hex(textOfJob(job))}"}\n`);
    return {
      files: new Map([
        ['config.json', configOf(job)],
        ['model.safetensors', Buffer.from(sha256Hex(textOfJob(job)).repeat(20))],
        ['training_state.json', stateOf(job, sha256Hex(replay))],
      ]),
      ...{ replay, optimizerSteps: 3, metrics: { loss: 0.5 } },
      examples: job.type === 'train' ? job.feedback.length : job.demonstrations.length,
    };
  },
};

function configOf(job: TrainingJob): Uint8Array {
  if (job.type === 'create') return Buffer.from(canonicalJson({ formatVersion: 1, ...job.config }));
  return job.parent.files.get('config.json') ?? new Uint8Array();
}

function stateOf(job: TrainingJob, replay: string): Uint8Array {
  const parent = job.type === 'create' ? null : job.parent.digest;
  return Buffer.from(canonicalJson({ formatVersion: 1, parent, dataset: job.dataset, replay }));
}

/** Answers like the fake, but only for a checkpoint that is in the store and whole. */
export function servingFrom(store: ObjectStore): PolicyServer {
  const fake = createFakePolicyServer(undefined, { keepCalls: false });
  return {
    async serve(checkpoint) {
      await readCheckpoint(store, checkpoint);
      return fake.serve(checkpoint);
    },
    close: () => fake.close(),
  };
}

type Activities = EvaluateActivities &
  PromoteActivities &
  RolloutActivities &
  ScoreActivities &
  TrainActivities;

export function activitiesOn(store: ObjectStore, now: () => number = Date.now): Activities {
  const datasets = createDatasetReader(store);
  const hasSearchAttributes = async (): Promise<boolean> => true;
  const runner = createModuleRunner(agent);
  return withFailureMap(
    withQuarantine(store, {
      ...createEvaluateActivities({ store, datasets, project, hasSearchAttributes }),
      ...createPromoteActivities({ store, now, hasSearchAttributes }),
      ...createRolloutActivities({
        ...{ store, datasets, policies: servingFrom(store), runnerFor: () => runner },
        segmentRollouts: 3,
      }),
      ...createScoreActivities({ store, datasets, scorers: project.scorers, now }),
      ...createTrainActivities({
        ...{ store, datasets, project, trainer: deterministicTrainer, stateEvery: 1 },
      }),
    }),
  );
}

export interface Execution {
  /** Runs an activity as Temporal would: again, in a new attempt, for as long as its failure may pass. */
  readonly run: <R>(name: string, activity: () => Promise<R>) => Promise<R>;
  /** Attempts that failed. */
  readonly failures: string[];
}

const ATTEMPTS = 4;

export function createExecution(info: Partial<Info> = {}): Execution {
  const failures: string[] = [];
  let scheduled = 0;
  return {
    failures,
    async run(name, activity) {
      scheduled += 1;
      let heartbeatDetails: unknown;
      for (let attempt = 1; ; attempt += 1) {
        const environment = activityEnvironment({
          workflowExecution: EXECUTION,
          activityId: String(scheduled),
          activityType: name,
          scheduledTimestampMs: Date.parse('2026-11-24T08:00:00Z') + scheduled * 1_000,
          ...{ attempt, heartbeatDetails, ...info },
        });
        environment.on('heartbeat', (details: unknown) => (heartbeatDetails = details));
        try {
          return await environment.run(activity);
        } catch (error) {
          const isFinal = !(error instanceof ApplicationFailure) || error.nonRetryable === true;
          failures.push(`${name}: ${String(error)}`);
          if (isFinal || attempt === ATTEMPTS) throw error;
        }
      }
    },
  };
}

export interface Iteration {
  readonly dataset: Digest;
  readonly base: Digest;
  readonly candidate: Digest;
  readonly evaluation: Digest;
  readonly promoted: RoutingOutcome;
  readonly trained: { readonly batch: RollOutResult; readonly scored: ScoreResult };
}

/** Opens a run, creates the policy, rolls out, scores, trains, evaluates and promotes. */
export async function oneIteration(
  activities: Activities,
  { run }: Execution = createExecution(),
): Promise<Iteration> {
  const opened = await run('openRun', () => activities.openRun({ config: runConfig, run: RUN }));
  const created = await run('createPolicy', () =>
    activities.createPolicy({ run: RUN, policy: POLICY, seed: 1 }),
  );
  const champion = await run('registerChampion', () =>
    activities.registerChampion({ policy: POLICY, checkpoint: created.checkpoint }),
  );

  const batchOf = async (
    place: { readonly run: string; readonly iteration: number },
    checkpoint: Digest,
    split: 'train' | 'gate',
  ): Promise<{ batch: RollOutResult; scored: ScoreResult }> => {
    const batch = await run('rollOut', () =>
      activities.rollOut(
        RollOutInput.parse({
          ...{ ...place, policy: POLICY, agent: 'desk', checkpoint, dataset: opened.dataset },
          datasetName: 'desk',
          selection: { split, order: split === 'train' ? 'shuffled' : 'fixed', from: 0, count: 4 },
          ...{ shard: 0, shards: 1, repeats: 1, seed: 7, temperature: split === 'train' ? 1 : 0 },
          rollouts: { timeout: '5s', concurrency: 4 },
        }),
      ),
    );
    const scored = await run('score', () =>
      activities.score({
        ...{ ...place, dataset: opened.dataset, datasetName: 'desk', batches: [batch.batch] },
        weights: { resolved: 1 },
      }),
    );
    return { batch, scored };
  };

  const first = await batchOf({ run: RUN, iteration: 0 }, champion.digest, 'train');
  const trained = await run('train', () =>
    activities.train({
      ...{ run: RUN, iteration: 0, policy: POLICY, dataset: opened.dataset },
      ...{ parent: champion.digest, batches: [first.batch.batch], rewards: first.scored.rewards },
      ...{ weights: { resolved: 1 }, replay: null, train: runConfig.train, seed: 1 },
    }),
  );

  const evaluationRun = RUN.replace('desk-1', 'desk-1.gate-1');
  const place = await run('openEvaluation', () =>
    activities.openEvaluation({
      ...{ run: evaluationRun, policy: POLICY, dataset: 'desk', agent: 'desk', split: 'gate' },
      ...{ gate: runConfig.gate, candidate: trained.checkpoint },
    }),
  );
  const armOf = async (
    checkpoint: Digest,
    iteration: number,
  ): Promise<CompareInput['baseline']> => {
    const { batch, scored } = await batchOf({ run: evaluationRun, iteration }, checkpoint, 'gate');
    return {
      ...{ checkpoint, batches: [batch.batch], rewards: scored.rewards },
      ...{ rollouts: batch.rollouts, drops: {} },
    };
  };
  const baseline = await armOf(place.champion.digest, 0);
  const candidate = await armOf(trained.checkpoint, 1);
  const compared = await run('compare', () =>
    activities.compare({
      ...{ policy: POLICY, dataset: place.dataset, datasetName: 'desk', split: 'gate' },
      ...{ baseline, candidate, gate: runConfig.gate, seed: 1 },
    }),
  );
  const promoted = await run('promote', () =>
    activities.promote({
      policy: POLICY,
      promotionId: 'promotion-1',
      approval: {
        request: {
          ...{ candidate: trained.checkpoint, evaluation: compared.evaluation },
          ...{ dataset: place.dataset, champion: place.champion },
          requestedAt: '2026-11-24T09:00:00Z',
          deadline: '2026-12-01T09:00:00Z',
        },
        ...{ decision: 'approve', by: 'ops-lead', at: '2026-11-24T09:30:00Z' },
        ...{ via: 'update', authenticated: false },
      },
    }),
  );
  return {
    ...{ dataset: opened.dataset, base: champion.digest, candidate: trained.checkpoint },
    ...{ evaluation: compared.evaluation, promoted, trained: first },
  };
}
