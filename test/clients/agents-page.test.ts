import { agentsPageContract } from '../helpers/clients/agents-page.contract';

const python = process.env.RATCHET_TEST_PYTHON;

// Skipped where there is no Python or no package index: clients-setup.cjs says why.
(python === undefined ? describe.skip : describe)('docs/agents.md', () => {
  agentsPageContract(['python'], python);
});
