import { Client } from '@temporalio/client';
import { bundleWorkflowCode, Runtime, Worker, type WorkerOptions } from '@temporalio/worker';
import { taskQueues } from '../src/loop/task-queues';
import { activityContext } from './activity-context';
import { compose } from './compose';
import type { Environment, Role } from './env';
import { createHealthFile } from './health';
import { createLog } from './log';
import { createSdkMeter, prometheus } from './metrics';
import { watchParkedRuns } from './parked-runs';
import { startQueueWatch } from './queue-watch';
import { ensureSearchAttributes } from './search-attributes';
import { listenForShutdown } from './shutdown';
import { connectWorker } from './temporal-connection';
import { startWatchdog } from './watchdog';

/** Heartbeats carry cancellation back and progress forward: kept fresh at little cost. */
const HEARTBEAT_THROTTLE = '2s';

/**
 * Worker versioning. A run lives for days (approvals wait, promotions are watched) and a GPU has room for one worker: pinned
 * runs would need the old fleet beside the new one for as long. So runs move on to the current version at their next
 * step, which the replayed histories of test/replay allow; one that must not is pinned by hand (docs/operations.md).
 */
function versioning({ deployment }: Environment): Partial<WorkerOptions> {
  if (deployment === null) return {};
  return {
    workerDeploymentOptions: {
      version: { deploymentName: deployment.name, buildId: deployment.buildId },
      useWorkerVersioning: true,
      defaultVersioningBehavior: 'AUTO_UPGRADE',
    },
  };
}

/**
 * Runs the roles of `env` until the process is told to stop. A role is a task queue: control runs workflows and short
 * activities, rollout runs agents and scorers, gpu trains, one job at a time. Any number of processes may run each.
 *
 * Told to stop, it polls no more, hands running work over within the grace time, and this resolves with nothing left running.
 *
 * @param onReady is called once all of them poll.
 */
export async function runWorker(env: Environment, onReady: (line: string) => void): Promise<void> {
  const base = { role: env.roles.join(',') };
  const log = createLog(env.log, base);
  const shutdown = listenForShutdown({
    graceMs: env.shutdownGraceMs,
    say: (message) => log.info(message),
  });
  const runtime = Runtime.install({
    logger: log.sdk,
    shutdownSignals: [], // ours: a second signal must mean something
    telemetryOptions: {
      logging: { filter: { core: 'WARN', other: 'ERROR' }, forward: {} },
      ...(env.metrics === null ? {} : { metrics: prometheus(env.metrics) }),
    },
  });
  const meter = createSdkMeter(runtime.metricMeter);
  const health = createHealthFile(env.healthFile, (message) => log.warn(message));
  const closing: (() => unknown)[] = [() => shutdown.dispose(), () => health.close()];
  try {
    const server = await connectWorker(env.home); // before anything is bundled: a missing server is said at once
    closing.push(() => server.connection.close());
    let registered: Promise<boolean> | undefined;
    const warn = (line: string): void => log.warn(line);
    const hasSearchAttributes = (): Promise<boolean> =>
      (registered ??= ensureSearchAttributes(server, warn));
    const composition = await compose(env, {
      hasSearchAttributes,
      handOver: shutdown,
      meter,
      warn,
    });
    closing.push(() => composition.close());
    const watchdog = startWatchdog();
    closing.push(() => watchdog.stop());

    const queues = taskQueues(env.taskQueue);
    const options = (role: Role): WorkerOptions => ({
      connection: server.connection,
      namespace: server.namespace,
      taskQueue: queues[role],
      activities: composition[role],
      interceptors: { activity: [activityContext(role)] },
      shutdownGraceTime: shutdown.cancelAfterMs,
      maxHeartbeatThrottleInterval: HEARTBEAT_THROTTLE,
      ...versioning(env),
    });
    const create = {
      control: async () =>
        Worker.create({
          ...options('control'),
          workflowBundle: await bundleWorkflowCode({
            workflowsPath: require.resolve('../workflows'),
            logger: createLog({ ...env.log, level: 'warn' }, base).sdk, // else a page of webpack at each start
          }),
          stickyQueueScheduleToStartTimeout: '5s', // after the death of a worker its workflows wait this long for it
          maxConcurrentActivityTaskExecutions: 8,
        }),
      rollout: () =>
        Worker.create({ ...options('rollout'), maxConcurrentActivityTaskExecutions: 4 }),
      gpu: () =>
        Worker.create({
          ...options('gpu'),
          maxConcurrentActivityTaskExecutions: 1, // one device, one job
          maxConcurrentActivityTaskPolls: 1,
        }),
    };
    const workers = await Promise.all(env.roles.map((role) => create[role]()));
    if (env.roles.includes('control')) {
      await hasSearchAttributes();
      if (env.metrics !== null) closing.push(watchParkedRuns(server, queues.control, meter, log));
    }
    const running = workers.map((worker) => worker.run());
    const stop = (): void => {
      void health.say('stopping');
      for (const worker of workers) if (worker.getState() === 'RUNNING') worker.shutdown();
    };
    if (shutdown.begun.aborted) stop();
    else shutdown.begun.addEventListener('abort', stop, { once: true });
    await health.say('polling');
    if (env.deployment !== null) {
      const { name, buildId } = env.deployment;
      log.info(
        `this is version ${buildId} of the deployment ${name}; it gets work once it is current: temporal worker deployment set-current-version --deployment-name ${name} --build-id ${buildId} --yes`,
      );
    }
    onReady(`polling ${env.roles.map((role) => queues[role]).join(', ')}`);
    const watch = env.roles.includes('control')
      ? startQueueWatch({
          client: new Client(server),
          taskQueue: env.taskQueue,
          warn: (line) => log.warn(line),
        })
      : null;
    await Promise.all(running).finally(() => watch?.stop());
  } finally {
    for (const close of closing.toReversed()) await close();
  }
}
