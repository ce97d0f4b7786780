import { writeFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { project as supportDesk } from '../../examples/support-desk/project';
import { run } from '../../examples/support-desk/agent';
import type { Project } from '../../src/project';

const beacon = process.env['RATCHET_BENCH_BEACON'] ?? '';
const AGENT_DELAY_MS = 20;

/** The support desk with an agent that leaves the time of its last answer in a file: what a benchmark sees of work that goes on. */
export const project: Project = {
  ...supportDesk,
  agents: {
    'support-desk': {
      kind: 'module',
      run: async (invocation) => {
        await delay(AGENT_DELAY_MS);
        const result = await run(invocation);
        writeFileSync(beacon, String(Date.now()));
        return result;
      },
    },
  },
};
