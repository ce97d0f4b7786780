import type { AgentRunner } from '../ports/agent-runner';
import type { Meter } from '../ports/meter';

/** The same runner; every execution of its agent is counted by how it ended. */
export function observeRunner(runner: AgentRunner, agent: string, meter: Meter): AgentRunner {
  return {
    async run(invocation, options) {
      const exit = await runner.run(invocation, options);
      meter.add('agentAttempts', 1, { agent, exit: exit.kind });
      return exit;
    },
    close: () => runner.close(),
  };
}
