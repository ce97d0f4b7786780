import { z } from 'zod';
import { TransientError } from '../../src/errors';
import type { ModuleAgent } from '../../src/ports/agent-runner';
import type { DatasetSource } from '../../src/schemas/task';

type LiveTask = DatasetSource['tasks'][number];

export interface LiveTraffic {
  readonly tasks: readonly LiveTask[];
  readonly agent: ModuleAgent;
  readonly gatewayUrl: string;
  readonly apiKey: string;
  readonly model: string;
  /** What the customer says. */
  readonly judge: (task: LiveTask, result: unknown) => boolean;
  readonly signal: AbortSignal;
  /** Told after each customer. */
  readonly onServed: (served: number) => void;
}

const CUSTOMERS_AT_ONCE = 24;
const TIMEOUT_MS = 60_000;
const Answered = z.looseObject({ answer: z.string() });

/** Customers come and are served by the agent through the live gateway, and each says whether that helped. */
export async function serveCustomers(traffic: LiveTraffic): Promise<void> {
  let next = 0;
  let served = 0;
  const customers = async (): Promise<void> => {
    for (let task = traffic.tasks[next++]; task !== undefined; task = traffic.tasks[next++]) {
      traffic.signal.throwIfAborted();
      await serve(traffic, task);
      served += 1;
      traffic.onServed(served);
    }
  };
  await Promise.all(Array.from({ length: CUSTOMERS_AT_ONCE }, customers));
}

async function serve(traffic: LiveTraffic, task: LiveTask): Promise<void> {
  const { agent, gatewayUrl, apiKey, model, judge } = traffic;
  const signal = AbortSignal.timeout(TIMEOUT_MS); // one for each: clients leave listeners on it
  const baseUrl = `${gatewayUrl}/v1`;
  const result = await agent({
    ...{ baseUrl, apiKey, model, input: task.input, idempotencyKey: task.id, signal },
  });
  const response = await fetch(`${baseUrl}/feedback`, {
    method: 'POST',
    headers: { authorization: `Bearer ${apiKey}`, 'content-type': 'application/json' },
    body: JSON.stringify({
      response_id: Answered.parse(result).answer,
      value: judge(task, result),
      id: task.id,
    }),
    signal,
  });
  const said = await response.text();
  if (!response.ok) {
    throw new TransientError(
      `feedback was refused: expected 2xx, got ${response.status}: ${said.slice(0, 200)}`,
    );
  }
}
