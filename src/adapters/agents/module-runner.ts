import { setTimeout as delay } from 'node:timers/promises';
import { describeError } from '../../errors';
import type {
  AgentExit,
  AgentInvocation,
  AgentRunner,
  ModuleAgent,
  RunOptions,
} from '../../ports/agent-runner';
import { crashed, returned } from './agent-exit';
import { createStopWatch } from './stop-watch';
import { createTrackedRunner } from './tracked-runner';

export interface ModuleRunnerOptions {
  /** How long a stopped agent may take to unwind before it is abandoned, in milliseconds. */
  readonly graceMs?: number;
}

/**
 * Runs an agent as a function of this process. At the deadline, and when cancelled, the agent's own signal is aborted; one
 * that pays no attention to it is abandoned after the grace period and its late result or error is dropped. A function that
 * never gives up the thread cannot be stopped from inside the process: such an agent belongs into a process runner.
 */
export function createModuleRunner(
  agent: ModuleAgent,
  { graceMs = 500 }: ModuleRunnerOptions = {},
): AgentRunner {
  async function execute(
    invocation: AgentInvocation,
    { timeoutMs }: RunOptions,
    signals: readonly AbortSignal[],
  ): Promise<AgentExit> {
    const watch = createStopWatch(timeoutMs, signals);
    const controller = new AbortController();
    // Never rejects, so an abandoned agent's late error is nobody's unhandled rejection.
    const ended = (async () => agent({ ...invocation, signal: controller.signal }))().then(
      returned,
      (error: unknown) => crashed(describeError(error)),
    );
    try {
      const stopped = watch.stopped.then((exit) => ({ stop: exit }));
      const first = await Promise.race([ended, stopped]);
      if (!('stop' in first)) return first;
      controller.abort(new Error(`the attempt was stopped: ${first.stop.kind}`));
      await unwind(ended, graceMs);
      return first.stop;
    } finally {
      watch.dispose();
    }
  }

  return createTrackedRunner(execute);
}

/** Waits until the agent ended, or the grace period is over. */
async function unwind(ended: Promise<AgentExit>, graceMs: number): Promise<void> {
  const grace = new AbortController();
  const over = delay(graceMs, undefined, { signal: grace.signal }).catch(() => undefined); // aborted below: the agent was first
  await Promise.race([ended, over]);
  grace.abort();
}
