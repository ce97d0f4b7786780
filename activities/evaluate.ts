import { activityInfo } from '@temporalio/activity';
import type { z } from 'zod';
import { registerDataset } from '../src/datasets/register-dataset';
import type { DatasetReader } from '../src/datasets/dataset-reader';
import { pairedRows } from '../src/evaluation/paired-rows';
import { InvalidInputError, NotFoundError } from '../src/errors';
import { decideGate, listChanges } from '../src/loop/gate';
import { runKey } from '../src/loop/run-key';
import type { Project } from '../src/project';
import type { Digest } from '../src/schemas/ids';
import {
  CompareInput,
  OpenEvaluationInput,
  OpenRunInput,
  type Champion,
  type EvaluationSummary,
  type OpenEvaluationResult,
  type OpenRunResult,
  type TaskCounts,
} from '../src/schemas/stages';
import type { Split } from '../src/schemas/task';
import { readCheckpointManifest } from '../src/storage/checkpoints';
import { digestOfJson } from '../src/storage/digest';
import { writeEvaluation } from '../src/storage/json-objects';
import type { Comparison } from '../src/stats/metric-comparison';
import type { ObjectStore } from '../src/storage/object-store';
import { readRouting } from '../src/storage/routing';
import { writeEvidence, writeRunRecord } from '../src/storage/run-records';
import { untilNobodySweeps } from '../src/storage/sweep';
import { scheduledAt, startHeartbeat } from './heartbeat';
import { parseActivityInput } from './parse-activity-input';

export interface EvaluateDeps {
  readonly store: ObjectStore;
  readonly datasets: DatasetReader;
  readonly project: Project;
  /** Whether the Temporal server knows our search attributes. */
  readonly hasSearchAttributes: () => Promise<boolean>;
}

export interface EvaluateActivities {
  openRun(input: z.input<typeof OpenRunInput>): Promise<OpenRunResult>;
  openEvaluation(input: z.input<typeof OpenEvaluationInput>): Promise<OpenEvaluationResult>;
  compare(input: z.input<typeof CompareInput>): Promise<EvaluationSummary>;
}

/** How many fixed and broken tasks an evaluation lists by name, each; the rest is counted. */
const LISTED = 200;

export function createEvaluateActivities({
  store,
  datasets,
  project,
  hasSearchAttributes,
}: EvaluateDeps): EvaluateActivities {
  /** Everything a config names must be registered here: a typo is found before anything was paid for. */
  const assertRegistered = (kind: string, name: string, known: readonly string[]): void => {
    if (known.includes(name)) return;
    throw new InvalidInputError(
      `the ${kind} ${name} is not registered on the workers: expected one of ${known.join(', ') || '(none)'}`,
      { context: { [kind]: name } },
    );
  };
  const assertScorers = (names: readonly string[]): void => {
    const known = project.scorers.map((scorer) => scorer.name);
    for (const name of names) assertRegistered('scorer', name, known);
  };
  const countTasks = async (name: string, digest: Digest): Promise<TaskCounts> => {
    const count = async (split: Split): Promise<number> =>
      (await datasets.tasks(name, digest, split)).length;
    return {
      train: await count('train'),
      select: await count('select'),
      gate: await count('gate'),
      report: await count('report'),
    };
  };
  const register = async (name: string): Promise<{ digest: Digest; demonstrations: number }> => {
    const source = project.datasets[name];
    if (source === undefined)
      throw new InvalidInputError(`the dataset ${name} is not registered on the workers`);
    const digest = await registerDataset(store, name, await source());
    return {
      digest,
      demonstrations: (await datasets.demonstrations(name, digest)).length,
    };
  };
  const readChampion = async (policy: string): Promise<Champion | null> => {
    const found = await readRouting(store, policy);
    return found === null
      ? null
      : { digest: found.routing.champion, generation: found.routing.generation };
  };
  const assertTasks = (dataset: string, tasks: TaskCounts, splits: readonly Split[]): void => {
    const empty = splits.filter((split) => tasks[split] === 0);
    if (empty.length === 0) return;
    throw new InvalidInputError(`the dataset has no tasks in: ${empty.join(', ')}`, {
      context: { dataset },
    });
  };

  return {
    async openRun(rawInput) {
      const input = parseActivityInput(OpenRunInput, rawInput, 'openRun');
      const { config } = input;
      const heartbeat = startHeartbeat({ opening: config.policy });
      try {
        assertRegistered('policy', config.policy, Object.keys(project.policies));
        assertRegistered('agent', config.agent, Object.keys(project.agents));
        assertRegistered('dataset', config.dataset, Object.keys(project.datasets));
        assertScorers([
          ...(config.live === undefined ? Object.keys(config.reward.weights) : []),
          config.gate.target,
          ...config.gate.guardrails.map(({ metric }) => metric),
        ]);
        const registered = await register(config.dataset);
        const record = await writeRunRecord(store, {
          ...{ formatVersion: 1, kind: 'training', ...runOf(input.run), openedAt: scheduledAt() },
          ...{ policy: config.policy, config },
          dataset: { name: config.dataset, digest: registered.digest },
        });
        const { digest } = record.dataset;
        const tasks = await countTasks(config.dataset, digest);
        assertTasks(config.dataset, tasks, [
          ...(config.live === undefined ? (['train'] as const) : []),
          'select',
          'gate',
          ...(config.report ? (['report'] as const) : []),
        ]);
        const champion = await readChampion(config.policy);
        if (champion === null) await assertDemonstrations(config.policy);
        return { dataset: digest, champion, tasks, searchAttributes: await hasSearchAttributes() };
      } finally {
        heartbeat.stop();
      }
    },

    async openEvaluation(rawInput) {
      const input = parseActivityInput(OpenEvaluationInput, rawInput, 'openEvaluation');
      const heartbeat = startHeartbeat({ opening: input.policy });
      try {
        assertRegistered('agent', input.agent, Object.keys(project.agents));
        assertRegistered('dataset', input.dataset, Object.keys(project.datasets));
        assertScorers([input.gate.target, ...input.gate.guardrails.map(({ metric }) => metric)]);
        const { policy, dataset, agent, gate, candidate, split } = input;
        const registered = await register(dataset);
        // Before the candidate is looked for: what the record names is not collected while it is evaluated.
        const record = await writeRunRecord(store, {
          ...{ formatVersion: 1, kind: 'evaluation', ...runOf(input.run), openedAt: scheduledAt() },
          ...{ policy, candidate, config: { agent, gate, split } },
          dataset: { name: dataset, digest: registered.digest },
        });
        await untilNobodySweeps(store);
        await assertCheckpoint(candidate);
        const champion = await readChampion(input.policy);
        if (champion === null) {
          throw new InvalidInputError(
            'the policy has no champion to compare with: expected one that a run has created',
            {
              context: { policy: input.policy },
            },
          );
        }
        const { digest } = record.dataset;
        const tasks = await countTasks(dataset, digest);
        assertTasks(dataset, tasks, [split]);
        return { dataset: digest, champion, tasks, searchAttributes: await hasSearchAttributes() };
      } finally {
        heartbeat.stop();
      }
    },

    async compare(rawInput) {
      const input = parseActivityInput(CompareInput, rawInput, 'compare');
      const heartbeat = startHeartbeat({ comparing: input.split });
      try {
        const references = await datasets.references(input.datasetName, input.dataset);
        const metrics = [input.gate.target, ...input.gate.guardrails.map(({ metric }) => metric)];
        const rows = await pairedRows(store, references, metrics, input.baseline, input.candidate);
        const verdict = decideGate({
          rows,
          config: input.gate,
          seed: input.seed,
          drops: { champion: input.baseline, candidate: input.candidate },
        });
        const changes = listChanges(rows, { metric: input.gate.target, limit: LISTED });
        const content = {
          formatVersion: 1,
          policy: input.policy,
          dataset: { name: input.datasetName, digest: input.dataset },
          split: input.split,
          baseline: input.baseline.checkpoint,
          candidate: input.candidate.checkpoint,
          gate: input.gate,
          seed: input.seed,
          verdict,
          changes,
        };
        await writeEvidence(store, {
          ...{ formatVersion: 1, evaluation: digestOfJson(content) },
          ...{ baseline: input.baseline, candidate: input.candidate },
        });
        const evaluation = await writeEvaluation(store, content);
        return {
          evaluation,
          split: input.split,
          dataset: input.dataset,
          baseline: input.baseline.checkpoint,
          candidate: input.candidate.checkpoint,
          decision: verdict.decision,
          reasons: [...verdict.reasons],
          target: verdict.target === null ? null : toCompared(verdict.target),
          guardrails: verdict.guardrails.map(toCompared),
          fixed: changes.fixed.count,
          broken: changes.broken.count,
        };
      } finally {
        heartbeat.stop();
      }
    },
  };

  async function assertDemonstrations(policy: string): Promise<void> {
    const { dataset: name, prior } = project.policies[policy]?.createFrom ?? { dataset: '' };
    assertRegistered('dataset', name, Object.keys(project.datasets));
    if (prior !== undefined) return;
    if ((await register(name)).demonstrations > 0) return;
    throw new InvalidInputError(
      'the policy has no champion and its dataset no demonstrations to create one from: expected at least one per arm',
      { context: { policy, dataset: name } },
    );
  }

  async function assertCheckpoint(candidate: Digest): Promise<void> {
    try {
      await readCheckpointManifest(store, candidate);
    } catch (error) {
      if (!(error instanceof NotFoundError)) throw error;
      throw new InvalidInputError('the candidate is not a checkpoint of this store', {
        context: { candidate },
        cause: error,
      });
    }
  }
}

/** The run whose record is written, as its workflow names it. @throws {InvalidInputError} outside of a workflow. */
function runOf(named: string | undefined): { run: string; workflowId: string } {
  const execution = activityInfo().workflowExecution;
  if (execution === undefined) {
    throw new InvalidInputError('a run is opened by a workflow: expected one, got none');
  }
  const { workflowId, runId } = execution;
  return { run: named ?? runKey(workflowId, runId), workflowId };
}

function toCompared({
  metric,
  champion,
  candidate,
  difference,
  lower,
}: Comparison): EvaluationSummary['guardrails'][number] {
  return { metric, baseline: champion, candidate, difference, lower };
}
