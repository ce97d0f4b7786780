import { randomUUID } from 'node:crypto';
import { Client, Connection, type WorkflowHandle } from '@temporalio/client';
import {
  bundleWorkflowCode,
  DefaultLogger,
  NativeConnection,
  Runtime,
  Worker,
  type WorkflowBundleWithSourceMap,
} from '@temporalio/worker';
import { withFailureMap } from '../../activities/failure';
import { taskQueues, type TaskQueues } from '../../src/loop/task-queues';
import type { RunConfigInput } from '../../src/schemas/run-config';
import {
  createFakeActivities,
  createFakeWorld,
  type AllActivities,
  type FakeWorld,
} from '../fakes/fake-activities';
import { testAddress } from './temporal-server';

/** Workflows on the real server, in the real sandbox, over fake activities. */
export interface WorkflowBench {
  readonly client: Client;
  readonly world: FakeWorld;
  readonly taskQueue: string;
  /** Starts a workflow by its type name with one input, as the CLI does. */
  start(type: string, input: unknown, workflowId?: string): Promise<WorkflowHandle>;
  /** The value of the query `status` once it fulfils the condition. */
  statusWhen<T>(handle: WorkflowHandle, isThere: (status: T) => boolean): Promise<T>;
  /** Starts a worker of a role that the bench was created without. */
  addWorker(role: keyof TaskQueues): Promise<void>;
  close(): Promise<void>;
}

let bundle: Promise<WorkflowBundleWithSourceMap> | undefined;

/** The workflows as they are deployed, bundled once per test process. */
export function workflowBundle(): Promise<WorkflowBundleWithSourceMap> {
  bundle ??= bundleWorkflowCode({
    workflowsPath: require.resolve('../../workflows'),
    logger: new DefaultLogger('ERROR'),
  });
  return bundle;
}

/** Once per test file, before anything of Temporal: the SDK's own log lines would drown the results. */
export function quietRuntime(): void {
  Runtime.install({ logger: new DefaultLogger('ERROR') });
}

export async function createWorkflowBench(
  activities: (world: FakeWorld) => AllActivities = createFakeActivities,
  roles: readonly (keyof TaskQueues)[] = ['control', 'rollout', 'gpu'],
): Promise<WorkflowBench> {
  const address = testAddress();
  const world = createFakeWorld();
  const fakes = withFailureMap(activities(world));
  const taskQueue = `test-${randomUUID()}`;
  const queues = taskQueues(taskQueue);
  const connection = await NativeConnection.connect({ address });
  const code = await workflowBundle();
  const workers: Worker[] = [];
  const running: Promise<void>[] = [];
  const addWorker = async (role: keyof TaskQueues): Promise<void> => {
    const worker = await Worker.create({
      connection,
      taskQueue: queues[role],
      activities: fakes,
      maxHeartbeatThrottleInterval: '1s', // cancellation comes with the answer to a heartbeat
      ...(role === 'control' ? { workflowBundle: code } : {}),
    });
    workers.push(worker);
    running.push(worker.run());
  };
  await Promise.all(roles.map(addWorker));
  const client = new Client({ connection: await Connection.connect({ address }) });
  return {
    client,
    world,
    taskQueue,
    start: (type, input, workflowId = `${type}-${randomUUID()}`) =>
      client.workflow.start(type, { taskQueue, workflowId, args: [input] }),
    async statusWhen<T>(handle: WorkflowHandle, isThere: (status: T) => boolean): Promise<T> {
      for (;;) {
        const status = await handle.query<T, []>('status');
        if (isThere(status)) return status;
        await new Promise((wake) => setTimeout(wake, 50));
      }
    },
    addWorker,
    async close() {
      for (const worker of workers) worker.shutdown();
      await Promise.all(running);
      await connection.close();
      await client.connection.close();
    },
  };
}

/** A small run over the fake world; approval is asked of `ops-lead`. */
export function runConfig(policy: string, overrides: Partial<RunConfigInput> = {}): RunConfigInput {
  return {
    policy,
    dataset: 'fake',
    agent: 'fake',
    iterations: 2,
    tasksPerIteration: 10,
    reward: { weights: { resolved: 1 } },
    gate: { target: 'resolved' },
    report: false,
    approval: { approvers: ['ops-lead'], deadline: '1m' },
    watch: '1m',
    ...overrides,
  };
}
