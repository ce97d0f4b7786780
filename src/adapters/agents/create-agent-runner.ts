import type { AgentRunner, AgentSpec } from '../../ports/agent-runner';
import { createHttpRunner } from './http-runner';
import { createModuleRunner } from './module-runner';
import { createProcessRunner } from './process-runner';

/** The runner of a registered agent. One runner serves any number of attempts at once. */
export function createAgentRunner(spec: AgentSpec): AgentRunner {
  switch (spec.kind) {
    case 'module':
      return createModuleRunner(spec.run);
    case 'process':
      return createProcessRunner(spec);
    case 'http':
      return createHttpRunner(spec);
  }
}
