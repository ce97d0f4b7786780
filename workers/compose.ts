import {
  createCollectLiveActivities,
  type CollectLiveActivities,
} from '../activities/collect-live';
import { createEvaluateActivities, type EvaluateActivities } from '../activities/evaluate';
import { withFailureMap } from '../activities/failure';
import {
  createOffPolicyActivities,
  type OffPolicyActivities,
} from '../activities/estimate-off-policy';
import { createPromoteActivities, type PromoteActivities } from '../activities/promote';
import { withQuarantine } from '../activities/quarantine';
import { createRolloutActivities, type RolloutActivities } from '../activities/rollout';
import { createScoreActivities, type ScoreActivities } from '../activities/score';
import { createTrainActivities, type TrainActivities } from '../activities/train';
import { createAgentRunner } from '../src/adapters/agents/create-agent-runner';
import { createThreadTrainer } from '../src/adapters/trainer/thread-trainer';
import { noHandOver, type HandOver } from '../src/ports/hand-over';
import { noMeter, type Meter } from '../src/ports/meter';
import { createDatasetReader } from '../src/datasets/dataset-reader';
import { InvalidInputError } from '../src/errors';
import { observeTrainer } from '../src/policies/observed-trainer';
import type { PolicyServer } from '../src/policies/policy-server';
import type { AgentRunner } from '../src/ports/agent-runner';
import type { Project } from '../src/project';
import { unreachableFor } from '../src/rollouts/gateway-address';
import { observeRunner } from '../src/rollouts/observed-runner';
import { observeStore } from '../src/storage/observed-store';
import type { ObjectStore } from '../src/storage/object-store';
import type { Environment } from './env';
import { loadProject } from './load-project';
import { openPolicies } from './open-policies';
import { openRedaction } from './open-redaction';
import { openStore } from './open-store';
import { openUpstreams } from './upstreams';

/** All that knows both sides: adapters are put into ports here and nowhere else. */
export interface Composition {
  readonly store: ObjectStore;
  readonly project: Project;
  readonly policies: PolicyServer;
  readonly control: EvaluateActivities & PromoteActivities;
  readonly rollout: RolloutActivities &
    ScoreActivities &
    CollectLiveActivities &
    OffPolicyActivities;
  readonly gpu: TrainActivities;
  close(): Promise<void>;
}

export interface CompositionOptions {
  readonly hasSearchAttributes: () => Promise<boolean>;
  /** @default never */
  readonly handOver?: HandOver;
  /** @default none */
  readonly meter?: Meter;
  /** @default console.warn */
  readonly warn?: (line: string) => void;
}

export async function compose(
  env: Environment,
  {
    hasSearchAttributes,
    handOver = noHandOver(),
    meter = noMeter,
    warn = console.warn,
  }: CompositionOptions,
): Promise<Composition> {
  const upstreams = await openUpstreams(env); // first: a mistake in its file is said at once
  const redaction = await openRedaction(env);
  const store = observeStore(await openStore(env, { log: warn }), meter);
  const project = loadProject(env.projectModule);
  const datasets = createDatasetReader(store);
  const { policies, runtime } = await openPolicies(env, store);
  const trainer = observeTrainer(createThreadTrainer({ intraOpThreads: env.threads }), meter);
  const now = Date.now;

  const cutOff = unreachableFor(env.rolloutGateway, project.agents);
  if (env.roles.includes('rollout') && cutOff.length > 0) {
    warn(
      `the agents ${cutOff.join(', ')} are services elsewhere, and the gateways that their rollouts call listen on ${env.rolloutGateway.host}, for this machine only: set RATCHET_ROLLOUT_HOST and RATCHET_ROLLOUT_URL`,
    );
  }

  const runners = new Map<string, AgentRunner>();
  const runnerFor = (agent: string): AgentRunner => {
    const existing = runners.get(agent);
    if (existing !== undefined) return existing;
    const spec = project.agents[agent];
    if (spec === undefined) {
      throw new InvalidInputError('the agent is not registered on this worker', {
        context: { agent, registered: Object.keys(project.agents).join(',') },
      });
    }
    const runner = observeRunner(createAgentRunner(spec), agent, meter);
    runners.set(agent, runner);
    return runner;
  };

  const guarded = <T extends Record<keyof T, (input: never) => Promise<unknown>>>(
    activities: T,
  ): T => withFailureMap(withQuarantine(store, activities));

  return {
    store,
    project,
    policies,
    control: guarded({
      ...createEvaluateActivities({ store, datasets, project, hasSearchAttributes }),
      ...createPromoteActivities({ store, now, hasSearchAttributes }),
    }),
    rollout: guarded({
      ...createRolloutActivities({
        ...{ store, datasets, policies, runnerFor, handOver, meter },
        ...{ address: env.rolloutGateway, upstreams, redaction },
      }),
      ...createScoreActivities({ store, datasets, scorers: project.scorers, now }),
      ...createCollectLiveActivities({ store, now }),
      ...createOffPolicyActivities({ store, runtime }),
    }),
    gpu: guarded(
      createTrainActivities({
        ...{ store, datasets, project, trainer, handOver },
        stateEvery: env.stateEvery,
      }),
    ),
    async close() {
      await Promise.all([...runners.values()].map((runner) => runner.close()));
      await upstreams.transport.close();
      await policies.close();
      await runtime.close();
    },
  };
}
