import { join } from 'node:path';
import { createApiKey } from '../../src/gateway/keys/api-keys';
import { loadProject } from '../load-project';
import { openKeyFile } from '../gateway';
import { readEnvironment } from '../env';
import { createAgentRunner } from '../../src/adapters/agents/create-agent-runner';
import { InvalidInputError } from '../../src/errors';
import type { Json } from '../../src/schemas/json';

export interface ServingTour {
  /** The module that registers the desk. */
  readonly projectModule: string;
  readonly home: string;
  readonly gatewayUrl: string;
  readonly policy: string;
}

const QUERIES = 4;
const TIMEOUT_MS = 20_000;

/** Sends a few customers' queries through the live gateway with the unchanged agent, and shows what it did. */
export async function showServing(tour: ServingTour, say: (line: string) => void): Promise<void> {
  const env = readEnvironment({ ...process.env, RATCHET_HOME: tour.home });
  const project = loadProject(tour.projectModule);
  const spec = project.agents['support-desk'];
  const dataset = await project.datasets['support-desk']?.();
  if (spec === undefined || dataset === undefined) {
    throw new InvalidInputError('the project does not register the support desk', {
      context: { module: tour.projectModule },
    });
  }
  const { key } = await createApiKey(openKeyFile(env), { role: 'agent', agent: 'support-desk' });
  const runner = createAgentRunner(spec);
  say(`\n  serving ratchet/${tour.policy} at ${tour.gatewayUrl}/v1:`);
  try {
    const tasks = dataset.tasks.filter((task) => task.split === 'report');
    const every = Math.floor(tasks.length / QUERIES);
    for (let index = 0; index < QUERIES; index += 1) {
      const task = tasks[index * every];
      if (task === undefined) break;
      const exit = await runner.run(
        {
          baseUrl: `${tour.gatewayUrl}/v1`,
          apiKey: key,
          model: `ratchet/${tour.policy}`,
          input: task.input,
          idempotencyKey: `demo-${index}`,
        },
        { timeoutMs: TIMEOUT_MS, signal: AbortSignal.timeout(TIMEOUT_MS) },
      );
      say(
        `    ${describeInput(task.input)}  →  ${exit.kind === 'returned' ? describeResult(exit.result) : exit.kind}`,
      );
    }
    say(`  logs and data: ${join(tour.home)}`);
  } finally {
    await runner.close();
  }
}

function describeInput(input: Json): string {
  const text =
    typeof input === 'object' && input !== null && 'query' in input ? input['query'] : input;
  return JSON.stringify(text).slice(0, 70);
}

function describeResult(result: Json): string {
  return JSON.stringify(
    typeof result === 'object' && result !== null && 'action' in result ? result['action'] : result,
  );
}
