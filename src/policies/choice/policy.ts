import { InvalidInputError } from '../../errors';
import type { TensorRuntime } from '../../ports/tensor-runtime';
import {
  checkFeedback,
  decodeReplay,
  emptyReplay,
  encodeReplay,
  mergeFeedback,
} from '../../rl/replay-buffer';
import type { ChoiceConfig } from '../../schemas/choice-config';
import type { TrainConfig } from '../../schemas/train-config';
import { canonicalJson } from '../../storage/canonical-json';
import { sha256Hex } from '../../storage/digest';
import type {
  CreateJob,
  Feedback,
  PolicyKind,
  TrainedPolicy,
  TrainingJob,
  TrainingOptions,
  TrainJob,
} from '../policy-kind';
import { decodeCheckpoint, encodeCheckpoint, FORMAT_VERSION } from './checkpoint';
import { optimize, zeroMoments, type HyperParameters } from './optimize';
import { initialParameters, priorParameters } from './parameters';
import { createPolicyServer } from './policy-server';
import {
  decisionRows,
  demonstrationRows,
  replayRows,
  valueRows,
  type TrainingRow,
} from './training-rows';

/** Picks one of a fixed set of named arms per request. See the README of this folder's parent. */
export const choicePolicy: PolicyKind = {
  kind: 'choice',
  createServer: createPolicyServer,
  run: (job, runtime, options) =>
    job.type === 'create' ? create(job, runtime, options) : train(job, runtime, options),
};

/** What a state must match to be resumed from: all that the job's result depends on. */
function nameJob(job: TrainingJob, extra: readonly string[] = []): string {
  const { type, seed, dataset } = job;
  const rest =
    type === 'create'
      ? [
          canonicalJson(job.config),
          canonicalJson(job.create),
          sha256Hex(JSON.stringify(job.demonstrations)),
        ]
      : [job.parent.digest, canonicalJson(job.train), `${job.iteration}`];
  return sha256Hex(canonicalJson([type, seed, dataset, ...rest, ...extra]));
}

/** A policy that has learned nothing: it takes each arm with the probability that it is given. */
function createFromPrior(job: CreateJob, prior: Readonly<Record<string, number>>): TrainedPolicy {
  const { config, seed, dataset } = job;
  const replay = encodeReplay(emptyReplay());
  return {
    files: encodeCheckpoint({
      config,
      parameters: priorParameters(config, prior, seed),
      moments: zeroMoments(config),
      state: {
        formatVersion: FORMAT_VERSION,
        ...{ globalStep: 0, seed, iteration: 0, parent: null, dataset },
        algorithm: sha256Hex(canonicalJson({ algorithm: 'prior', prior })),
        replay: sha256Hex(replay),
      },
    }),
    replay,
    optimizerSteps: 0,
    examples: 0,
    metrics: {},
  };
}

async function create(
  job: CreateJob,
  runtime: TensorRuntime,
  options?: TrainingOptions,
): Promise<TrainedPolicy> {
  const { config, demonstrations, create: settings, seed, dataset, prior } = job;
  if (prior !== undefined) return createFromPrior(job, prior);
  const replay = encodeReplay(emptyReplay());
  const optimized = await optimize(
    {
      job: nameJob(job),
      config,
      rows: demonstrationRows(config, demonstrations),
      start: {
        parameters: initialParameters(config, seed),
        moments: zeroMoments(config),
        globalStep: 0,
      },
      hyperParameters: { ...settings, ...NO_DECISIONS, maxExamples: null },
      seed,
      iteration: 0,
    },
    runtime,
    options,
  );
  const { parameters, moments, globalStep } = optimized;
  return {
    files: encodeCheckpoint({
      config,
      parameters,
      moments,
      state: {
        formatVersion: FORMAT_VERSION,
        globalStep,
        seed,
        iteration: 0,
        parent: null,
        dataset,
        algorithm: sha256Hex(canonicalJson({ algorithm: 'demonstrations', ...settings })),
        replay: sha256Hex(replay),
      },
    }),
    replay,
    optimizerSteps: optimized.steps,
    examples: optimized.examples,
    metrics: { ...optimized.metrics, demonstrations: demonstrations.length },
  };
}

async function train(
  job: TrainJob,
  runtime: TensorRuntime,
  options?: TrainingOptions,
): Promise<TrainedPolicy> {
  const { seed, iteration, dataset } = job;
  const { config, ...parent } = decodeCheckpoint(job.parent.files);
  const feedback = inCanonicalOrder(job.feedback);
  feedback.forEach(checkFeedback);
  const before = job.replay === null ? emptyReplay() : decodeReplay(job.replay);
  const buffer = mergeFeedback(before, feedback, iteration);
  const replay = encodeReplay(buffer);
  const rows = trainingRows(config, job.train, { buffer: buffer.entries, feedback, iteration });
  if (rows.length === 0)
    throw new InvalidInputError('there is nothing to train on: expected feedback, got none');

  const decisionsDigest = sha256Hex(
    JSON.stringify(
      feedback.map(({ text, arm, propensity, reward }) => [text, arm, propensity, reward]),
    ),
  );
  const optimized = await optimize(
    {
      job: nameJob(job, [sha256Hex(replay), decisionsDigest]),
      config,
      rows,
      start: job.train.resetOptimizer
        ? { parameters: parent.parameters, moments: zeroMoments(config), globalStep: 0 }
        : {
            parameters: parent.parameters,
            moments: parent.moments,
            globalStep: parent.state.globalStep,
          },
      hyperParameters: hyperParametersOf(job.train),
      seed,
      iteration,
    },
    runtime,
    options,
  );
  const { parameters, moments, globalStep } = optimized;
  return {
    files: encodeCheckpoint({
      config,
      parameters,
      moments,
      state: {
        formatVersion: FORMAT_VERSION,
        globalStep,
        seed,
        iteration,
        parent: job.parent.digest,
        dataset,
        algorithm: sha256Hex(canonicalJson(job.train)),
        replay: sha256Hex(replay),
      },
    }),
    replay,
    optimizerSteps: optimized.steps,
    examples: optimized.examples,
    metrics: {
      ...optimized.metrics,
      feedback: feedback.length,
      meanReward:
        feedback.reduce((sum, { reward }) => sum + reward, 0) / Math.max(1, feedback.length),
      replayEntries: buffer.entries.length,
    },
  };
}

/** Shards of a batch arrive in any order; the checkpoint must not depend on it. */
function inCanonicalOrder(feedback: readonly Feedback[]): Feedback[] {
  const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);
  return [...feedback].sort(
    (a, b) =>
      compare(a.text, b.text) ||
      compare(a.arm, b.arm) ||
      a.propensity - b.propensity ||
      a.reward - b.reward ||
      (a.available === b.available ? 0 : compare(a.available.join('\n'), b.available.join('\n'))),
  );
}

/** Terms that only rows with a decision have. */
const NO_DECISIONS = { clip: 1, entropyBonus: 0 } as const;

function trainingRows(
  config: ChoiceConfig,
  train: TrainConfig,
  {
    buffer,
    feedback,
    iteration,
  }: {
    readonly buffer: Parameters<typeof replayRows>[1];
    readonly feedback: readonly Feedback[];
    readonly iteration: number;
  },
): TrainingRow[] {
  switch (train.algorithm) {
    case 'reinforce':
      return decisionRows(config, feedback, { baseline: train.baseline, weight: 1 });
    case 'value':
      return valueRows(config, buffer, { iteration, decay: train.decay });
    case 'replay': {
      const stored = replayRows(config, buffer, { iteration, train });
      if (train.policyGradient === null) return stored;
      return [...stored, ...decisionRows(config, feedback, train.policyGradient)];
    }
  }
}

function hyperParametersOf(train: TrainConfig): HyperParameters {
  switch (train.algorithm) {
    case 'reinforce':
      return { ...train, maxExamples: null };
    case 'value':
      return { ...NO_DECISIONS, ...train, learns: 'values' };
    case 'replay':
      return { ...NO_DECISIONS, ...train, ...train.policyGradient };
  }
}
