import type { Info } from '@temporalio/activity';
import { MockActivityEnvironment } from '@temporalio/testing';
import { DefaultLogger } from '@temporalio/worker';
import { createRolloutActivities, type RolloutActivities } from '../../activities/rollout';
import { createScoreActivities, type ScoreActivities } from '../../activities/score';
import { createModuleRunner } from '../../src/adapters/agents/module-runner';
import { createDatasetReader, type DatasetReader } from '../../src/datasets/dataset-reader';
import { registerDataset } from '../../src/datasets/register-dataset';
import type { AgentInvocation, ModuleAgent } from '../../src/ports/agent-runner';
import { noHandOver, type HandOver } from '../../src/ports/hand-over';
import { type GatewayAddress, LOOPBACK } from '../../src/rollouts/gateway-address';
import type { PolicyServer } from '../../src/policies/policy-server';
import { readSegments } from '../../src/rollouts/segment-reader';
import { ChoiceConfig } from '../../src/schemas/choice-config';
import type { Digest } from '../../src/schemas/ids';
import type { ObjectRef } from '../../src/schemas/object-ref';
import { RollOutInput } from '../../src/schemas/stages';
import type { DatasetSource, Split } from '../../src/schemas/task';
import type { Trajectory } from '../../src/schemas/trajectory';
import type { Scorer } from '../../src/scoring/scorer';
import { writeCheckpoint } from '../../src/storage/checkpoints';
import type { ObjectStore } from '../../src/storage/object-store';
import { createFakePolicyServer, type FakePolicyServer } from '../fakes/fake-policy-server';
import { createMemoryObjectStore } from '../fakes/memory-object-store';

// A small support desk: three tools, tasks whose label is the tool that solves them, an agent that calls what it is told.

export const ARMS = ['refund', 'weather', 'human'];
const tools = ARMS.map((name) => ({ type: 'function', function: { name } }));

export const config = ChoiceConfig.parse({
  arms: ARMS.map((name) => ({ kind: 'tool', name, tool: name })),
});

/** Every text of a reference begins with this, and nothing else does. */
export const LABEL = 'label-of-';

export function source(
  counts: Readonly<Partial<Record<Split, number>>>,
  label = (n: number): string => ARMS[n % ARMS.length] as string,
): DatasetSource {
  const tasks = Object.entries(counts).flatMap(([split, count]) =>
    Array.from({ length: count }, (_, n) => ({
      id: `${split}-${n}`,
      split: split as Split,
      input: { query: `query ${split} ${n}` },
      family: `${LABEL}family-${n % 12}`,
      slice: `${LABEL}slice-${n % 2}`,
      reference: { tool: label(n), secret: `${LABEL}${split}-${n}-${label(n)}` },
    })),
  );
  const demonstrations = ARMS.map((arm) => ({ text: `please ${arm}`, arm }));
  return { tasks, demonstrations, attribution: 'made up' };
}

/** An unmodified program, as far as it goes: a base URL, a key, and fetch. */
export const agent: ModuleAgent = async ({ baseUrl, apiKey, model, input, signal }) => {
  const response = await fetch(`${baseUrl}/chat/completions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${apiKey}`, 'content-type': 'application/json' },
    body: JSON.stringify({
      model,
      messages: [{ role: 'user', content: (input as { query: string }).query }],
      tools,
    }),
    signal,
  });
  if (!response.ok) throw new Error(`HTTP ${response.status}: ${await response.text()}`);
  const { choices } = (await response.json()) as {
    choices: { message: { tool_calls: { function: { name: string } }[] } }[];
  };
  return { tool: choices[0]?.message.tool_calls[0]?.function.name ?? null };
};

export const resolved: Scorer = {
  name: 'resolved',
  version: '1',
  score: ({ result, reference }) =>
    (result as { tool: string }).tool === (reference.reference as { tool: string }).tool ? 1 : 0,
};

export interface Desk {
  readonly store: ObjectStore;
  readonly datasets: DatasetReader;
  readonly policies: FakePolicyServer;
  readonly dataset: Digest;
  readonly checkpoint: Digest;
  /** What agents were handed, oldest first. */
  readonly invocations: AgentInvocation[];
  readonly rollout: RolloutActivities;
  /** The same worker on the store of another desk. */
  rolloutOn(store: ObjectStore): RolloutActivities;
  readonly score: ScoreActivities;
  rollOutInput(rest?: Partial<RollOutInput>): RollOutInput;
}

export interface DeskOptions {
  /** A store that outlives the desk; one of its own when left out. */
  readonly store?: ObjectStore;
  readonly counts?: Readonly<Partial<Record<Split, number>>>;
  readonly runAgent?: ModuleAgent;
  readonly scorers?: readonly Scorer[];
  /** A view of the policy server, to break it. */
  readonly serve?: (policies: FakePolicyServer) => PolicyServer;
  readonly segmentRollouts?: number;
  readonly handOver?: HandOver;
  readonly address?: GatewayAddress;
}

export async function openDesk({
  store = createMemoryObjectStore(),
  counts = { train: 20 },
  runAgent = agent,
  scorers = [resolved],
  serve = (policies) => policies,
  segmentRollouts = 500,
  handOver = noHandOver(),
  address = LOOPBACK,
}: DeskOptions = {}): Promise<Desk> {
  const datasets = createDatasetReader(store);
  const policies = createFakePolicyServer();
  const dataset = await registerDataset(store, 'desk', source(counts));
  const checkpoint = await writeCheckpoint(store, {
    files: new Map([['config.json', Buffer.from(JSON.stringify({ formatVersion: 1, ...config }))]]),
    metadata: { kind: 'choice' },
  });
  const invocations: AgentInvocation[] = [];
  const runner = createModuleRunner((invocation) => {
    invocations.push(invocation);
    return runAgent(invocation);
  });
  const now = (): number => Date.parse('2026-11-24T08:00:00.000Z');
  const rolloutOn = (on: ObjectStore, from: DatasetReader): RolloutActivities =>
    createRolloutActivities({
      ...{
        store: on,
        datasets: from,
        policies: serve(policies),
        segmentRollouts,
        handOver,
        address,
      },
      backoffMs: 1, // failures are many here, and nobody needs the time
      runnerFor: () => runner,
    });
  return {
    ...{ store, datasets, policies, dataset, checkpoint, invocations },
    rollout: rolloutOn(store, datasets),
    rolloutOn: (other) => rolloutOn(other, createDatasetReader(other)),
    score: createScoreActivities({ store, datasets, scorers, now, patience: { backoffMs: 1 } }),
    rollOutInput: (rest = {}) =>
      RollOutInput.parse({
        ...{ run: 'desk-1.abc', iteration: 2, policy: 'support', agent: 'fake' },
        ...{ checkpoint, dataset, datasetName: 'desk' },
        selection: { split: 'train', order: 'shuffled', from: 0, count: 20 },
        ...{ shard: 0, shards: 1, repeats: 1, seed: 7, temperature: 1 },
        rollouts: { timeout: '5s', concurrency: 8 },
        ...rest,
      }),
  };
}

/** What an activity runs in: its info as given, its first attempt if left out. */
export function activityEnvironment(info: Partial<Info> = {}): MockActivityEnvironment {
  return new MockActivityEnvironment(info, { logger: new DefaultLogger('ERROR') });
}

/** Runs an activity as a worker would, in its first attempt. */
export function runActivity<R>(run: () => Promise<R>): Promise<R> {
  return activityEnvironment().run(run);
}

export async function trajectoriesOf(
  store: ObjectStore,
  ...batches: ObjectRef[]
): Promise<Trajectory[]> {
  const trajectories: Trajectory[] = [];
  for await (const segment of readSegments(store, batches))
    trajectories.push(...segment.trajectories);
  return trajectories;
}
