import { clientContract } from '../../contract/clients/client.contract';
import { createPythonClient } from './python-client';

const THROWN = {
  types: expect.arrayContaining(['RateLimitError']) as string[],
  status: 429,
};

/**
 * The facts of the Node clients, for one of Python's. Skipped where there is no Python or no package index: clients-setup.cjs says why.
 *
 * @param command a script of test/clients/python and its arguments.
 */
export function pythonClient(name: string, command: readonly string[]): void {
  const python = process.env.RATCHET_TEST_PYTHON;
  describe('Python’s', () => {
    const client = createPythonClient(python ?? '', command);
    afterAll(() => client.close());
    clientContract(name, client, THROWN, python === undefined);
  });
}
