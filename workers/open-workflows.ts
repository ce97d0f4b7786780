import { describeError, TransientError } from '../src/errors';
import type { OpenWorkflows } from '../src/ports/open-workflows';
import type { Environment } from './env';
import { connectClient } from './temporal-connection';

/**
 * Asks the Temporal server which workflows are open.
 *
 * @throws {TransientError} if it does not answer, with the ways out.
 */
export async function openWorkflows(
  env: Environment,
): Promise<{ readonly workflows: OpenWorkflows; close(): Promise<void> }> {
  try {
    const client = await connectClient(env.home);
    return {
      workflows: {
        async openWorkflowIds() {
          const ids = new Set<string>();
          const open = client.workflow.list({ query: 'ExecutionStatus = "Running"' });
          for await (const { workflowId } of open) ids.add(workflowId);
          return ids;
        },
      },
      close: () => client.connection.close(),
    };
  } catch (error) {
    throw new TransientError(
      `garbage collection must know which runs are open, and ${describeError(error)}; or, if nothing runs on this store, pass --assume-no-open-runs`,
      { cause: error },
    );
  }
}
