import { z } from 'zod';
import { ApprovalConfig } from './approval';
import { Duration } from './duration';
import { GateConfig } from './gate-config';
import { Digest, Name } from './ids';
import { TrainConfig } from './train-config';

/** How agents are run. Shared by training runs and evaluations. */
export const RolloutConfig = z.strictObject({
  shards: z
    .int()
    .min(1)
    .max(64)
    .default(2)
    .describe(
      'Rollout activities that run at once per batch; each may be taken by another worker.',
    ),
  concurrency: z.int().min(1).max(1024).default(16).describe('Agents at once within one activity.'),
  timeout: Duration.default('60s').describe('Deadline of one attempt of the agent.'),
  attempts: z
    .int()
    .min(1)
    .max(10)
    .default(3)
    .describe(
      'Executions of a rollout that infrastructure failed, the first included; then it is dropped.',
    ),
});
export type RolloutConfig = z.infer<typeof RolloutConfig>;

/** Where a run's iterations get their feedback instead of from rollouts: what real callers said about live answers of the policy. */
export const LiveSource = z.strictObject({
  agent: Name.describe('The agent whose live calls are read, as its keys name it.'),
  decisions: z
    .int()
    .min(1)
    .default(1000)
    .describe('An iteration waits for at least this many decisions with feedback.'),
  window: Duration.default('30d').describe(
    'The first iteration reads this far back from the start of the run; each next one goes on where the last one ended.',
  ),
  settle: Duration.default('2m').describe(
    'Decisions younger than this are left for later: gateways bring them to the store within RATCHET_SPOOL_SECONDS, and feedback takes its time.',
  ),
  costPerCall: z
    .number()
    .positive()
    .nullable()
    .default(null)
    .describe(
      'The cost of a decision at which its score `thrift` is 0, in millionths of the unit of the gateway’s prices; at no cost it is 1. null: no such score.',
    ),
  heldOut: z
    .number()
    .min(0)
    .max(0.5)
    .default(0.1)
    .describe(
      'Share of the texts that is not trained on, for the estimate of what a candidate is worth off-policy.',
    ),
});
export type LiveSource = z.infer<typeof LiveSource>;

const scorerWeights = z
  .record(z.string().min(1), z.number().positive())
  .refine((weights) => Object.keys(weights).length > 0, 'expected at least one scorer');

/** The input of the workflow `trainingRun`. */
export const RunConfig = z.strictObject({
  policy: Name.describe(
    'The policy to improve. It is created from demonstrations when it has no champion yet.',
  ),
  dataset: Name.describe('A dataset that the workers have registered.'),
  agent: Name.describe('An agent that the workers have registered.'),
  seed: z
    .int()
    .min(0)
    .max(0xffff_ffff)
    .default(1)
    .describe('All randomness comes from it, never from an id.'),
  iterations: z.int().min(1).max(10_000).default(8).describe('Rounds of roll out, score, train.'),
  tasksPerIteration: z
    .int()
    .min(1)
    .default(1000)
    .describe(
      'Tasks rolled out per iteration; passes over the train split follow each other, each shuffled.',
    ),
  live: LiveSource.optional().describe(
    'Learn from live feedback instead of rollouts of the train split; weights then name what feedback measured (`feedback`) and `thrift`.',
  ),
  repeats: z.int().min(1).max(64).default(1).describe('Rollouts per task: the size of a group.'),
  temperature: z
    .number()
    .positive()
    .max(10)
    .default(1)
    .describe('Sampling temperature of training rollouts.'),
  rollouts: RolloutConfig.prefault({}).describe('How agents are run.'),
  reward: z
    .strictObject({
      weights: scorerWeights.describe(
        'Weight by scorer name; scorers that do not apply are left out.',
      ),
    })
    .describe('How scores become the one reward that is trained on.'),
  train: TrainConfig.prefault({ algorithm: 'replay' }).describe('How an iteration trains.'),
  select: z
    .strictObject({
      every: z
        .int()
        .min(1)
        .default(1)
        .describe('Measure the select split after every n-th iteration (and the last).'),
      maxTasks: z
        .int()
        .min(1)
        .default(2000)
        .describe('At most this many tasks of the select split.'),
    })
    .prefault({})
    .describe('Chooses among this run’s checkpoints, on tasks that the gate never sees.'),
  gate: GateConfig.describe('What a candidate has to show before a human is asked.'),
  report: z
    .boolean()
    .default(true)
    .describe('Measure champion and candidate once on the report split, for the approver.'),
  approval: ApprovalConfig.describe('Who may approve, and until when.'),
  watch: Duration.default('24h').describe('How long the promotion stays open for a rollback.'),
  maxDropShare: z
    .number()
    .min(0)
    .max(1)
    .default(0.05)
    .describe(
      'Above this share of rollouts lost to infrastructure the run stops and asks: drops select survivors.',
    ),
  iterationsPerHistory: z
    .int()
    .min(1)
    .default(50)
    .describe('Continue as new after this many iterations, or when Temporal suggests it.'),
});
export type RunConfig = z.infer<typeof RunConfig>;
export type RunConfigInput = z.input<typeof RunConfig>;

/** The input of the workflow `evaluation`: a candidate against a baseline on the same held-out tasks. */
export const EvaluationConfig = z.strictObject({
  policy: Name.describe('The policy whose checkpoints are compared.'),
  dataset: Name.describe('A dataset that the workers have registered.'),
  agent: Name.describe('An agent that the workers have registered.'),
  candidate: Digest.describe('The checkpoint to judge.'),
  baseline: Digest.optional().describe('What it is compared with; the champion when left out.'),
  split: z.enum(['select', 'gate', 'report']).default('gate').describe('The tasks to compare on.'),
  maxTasks: z.int().min(1).optional().describe('At most this many tasks, in the split’s order.'),
  seed: z
    .int()
    .min(0)
    .max(0xffff_ffff)
    .default(1)
    .describe('Of the rollouts and of the bootstrap.'),
  repeats: z.int().min(1).max(64).default(1).describe('Rollouts per task and arm.'),
  rollouts: RolloutConfig.prefault({}).describe('How agents are run.'),
  gate: GateConfig.describe('The rule that the verdict follows.'),
});
export type EvaluationConfig = z.infer<typeof EvaluationConfig>;
