import { join } from 'node:path';
import { packageRoot } from '../../src/adapters/dist-path';
import type { AgentSpec } from '../../src/ports/agent-runner';
import type { PolicyRegistration, Project } from '../../src/project';
import { run } from './agent';
import { supportDeskDataset } from './dataset';
import { policyConfig } from './policy';
import { scorers } from './scorers';

const asModule: AgentSpec = { kind: 'module', run };
const asProcess: AgentSpec = {
  kind: 'process',
  command: [process.execPath, join(packageRoot(), 'dist', 'examples', 'support-desk', 'agent.js')],
};

const policyOf = (dataset: string): PolicyRegistration => ({
  config: policyConfig,
  createFrom: { dataset },
});

/** What the workers know of the support desk. The three datasets differ in which demonstrations were drawn. */
export const project: Project = {
  agents: { 'support-desk': asModule, 'support-desk-process': asProcess },
  scorers,
  datasets: {
    'support-desk': () => supportDeskDataset({ seed: 1 }),
    'support-desk-2': () => supportDeskDataset({ seed: 2 }),
    'support-desk-3': () => supportDeskDataset({ seed: 3 }),
  },
  policies: {
    'support-desk': policyOf('support-desk'),
    'support-desk-2': policyOf('support-desk-2'),
    'support-desk-3': policyOf('support-desk-3'),
  },
};
