import { DefaultLogger, Runtime, Worker, type WorkerOptions } from '@temporalio/worker';
import { taskQueues } from '../src/loop/task-queues';
import { compose } from './compose';
import type { Environment } from './env';
import { ensureSearchAttributes } from './search-attributes';
import { connectWorker } from './temporal-connection';
import { startWatchdog } from './watchdog';

/** How long running activities may go on after SIGTERM: time for a training to write its state and a batch its segment. */
const SHUTDOWN_GRACE = '20s';

/** Heartbeats carry cancellation back and progress forward: kept fresh at little cost. */
const HEARTBEAT_THROTTLE = '2s';

/**
 * Runs the roles of `env` until the process is told to stop. A role is a task queue: control runs workflows and short
 * activities, rollout runs agents and scorers, gpu trains, one job at a time.
 *
 * @param onReady is called once all of them poll.
 */
export async function runWorker(env: Environment, onReady: (line: string) => void): Promise<void> {
  Runtime.install({ logger: new DefaultLogger('WARN') });
  const server = await connectWorker(env.home); // before anything is bundled: a missing server is said at once
  let registered: Promise<boolean> | undefined;
  const composition = await compose(env, {
    hasSearchAttributes: () =>
      (registered ??= ensureSearchAttributes(server, (line) => console.warn(line))),
  });
  const queues = taskQueues(env.taskQueue);
  const common = {
    connection: server.connection,
    namespace: server.namespace,
    shutdownGraceTime: SHUTDOWN_GRACE,
    maxHeartbeatThrottleInterval: HEARTBEAT_THROTTLE,
  } satisfies Partial<WorkerOptions>;
  const create = {
    control: () =>
      Worker.create({
        ...common,
        taskQueue: queues.control,
        workflowsPath: require.resolve('../workflows'),
        activities: composition.control,
        maxConcurrentActivityTaskExecutions: 8,
      }),
    rollout: () =>
      Worker.create({
        ...common,
        taskQueue: queues.rollout,
        activities: composition.rollout,
        maxConcurrentActivityTaskExecutions: 4,
      }),
    gpu: () =>
      Worker.create({
        ...common,
        taskQueue: queues.gpu,
        activities: composition.gpu,
        maxConcurrentActivityTaskExecutions: 1, // one device, one job
        maxConcurrentActivityTaskPolls: 1,
      }),
  };
  const watchdog = startWatchdog();
  const workers = await Promise.all(env.roles.map((role) => create[role]()));
  try {
    if (env.roles.includes('control'))
      await (registered ??= ensureSearchAttributes(server, (line) => console.warn(line)));
    const running = workers.map((worker) => worker.run());
    onReady(`polling ${env.roles.map((role) => queues[role]).join(', ')}`);
    await Promise.all(running);
  } finally {
    await watchdog.stop();
    await composition.close();
    await server.connection.close();
  }
}
