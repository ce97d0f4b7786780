import { InvalidInputError } from '../../errors';
import type { AgentExit, AgentInvocation, AgentRunner, RunOptions } from '../../ports/agent-runner';

/** One attempt; any of the signals stops it. Never rejects for what the agent does. */
export type Execute = (
  invocation: AgentInvocation,
  options: RunOptions,
  signals: readonly AbortSignal[],
) => Promise<AgentExit>;

/** What every runner does besides running: it knows its attempts, and closing stops and awaits all of them. */
export function createTrackedRunner(execute: Execute): AgentRunner {
  const closing = new AbortController();
  const running = new Set<Promise<AgentExit>>();
  return {
    async run(invocation, options) {
      const { signal } = options;
      if (closing.signal.aborted) throw new InvalidInputError('the agent runner is closed');
      if (signal.aborted) return { kind: 'cancelled' };
      const execution = execute(invocation, options, [signal, closing.signal]);
      running.add(execution);
      try {
        return await execution;
      } finally {
        running.delete(execution);
      }
    },
    async close() {
      closing.abort();
      await Promise.all(running);
    },
  };
}
