import { z } from 'zod';
import { TransientError } from '../../src/errors';
import type { ModuleAgent } from '../../src/ports/agent-runner';
import type { DatasetSource } from '../../src/schemas/task';

export type LiveTask = DatasetSource['tasks'][number];

/** Where live calls go, and in whose name. */
export interface LiveEndpoint {
  readonly gatewayUrl: string;
  /** Of role `agent`. */
  readonly apiKey: string;
}

export interface LiveTraffic extends LiveEndpoint {
  readonly tasks: readonly LiveTask[];
  readonly agent: ModuleAgent;
  readonly model: string;
  /** What the customer does with the result of the agent; the next one comes when that is done. */
  readonly onServed: (task: LiveTask, result: unknown) => Promise<void> | void;
  readonly signal: AbortSignal;
}

const CUSTOMERS_AT_ONCE = 24;
const TIMEOUT_MS = 60_000;
const Answered = z.looseObject({ answer: z.string() });

/** Customers come and are served by the agent through the live gateway. */
export async function serveCustomers(traffic: LiveTraffic): Promise<void> {
  const { tasks, agent, gatewayUrl, apiKey, model, onServed } = traffic;
  let next = 0;
  const customers = async (): Promise<void> => {
    for (let task = tasks[next++]; task !== undefined; task = tasks[next++]) {
      traffic.signal.throwIfAborted();
      const signal = AbortSignal.timeout(TIMEOUT_MS); // one for each: clients leave listeners on it
      const { input, id } = task;
      const baseUrl = `${gatewayUrl}/v1`;
      const result = await agent({ baseUrl, apiKey, model, input, idempotencyKey: id, signal });
      await onServed(task, result);
    }
  };
  await Promise.all(Array.from({ length: CUSTOMERS_AT_ONCE }, customers));
}

/**
 * Says whether an answer helped, as a customer's own client would.
 *
 * @param result of the agent: its `answer` is the id of the model's answer.
 * @throws {TransientError} if the gateway refuses.
 */
export async function giveFeedback(
  { gatewayUrl, apiKey }: LiveEndpoint,
  { id }: LiveTask,
  result: unknown,
  hasHelped: boolean,
): Promise<void> {
  const { answer } = Answered.parse(result);
  const response = await fetch(`${gatewayUrl}/v1/feedback`, {
    method: 'POST',
    headers: { authorization: `Bearer ${apiKey}`, 'content-type': 'application/json' },
    body: JSON.stringify({ response_id: answer, value: hasHelped, id }),
    signal: AbortSignal.timeout(TIMEOUT_MS),
  });
  const said = await response.text();
  if (!response.ok) {
    throw new TransientError(
      `feedback was refused: expected 2xx, got ${response.status}: ${said.slice(0, 200)}`,
    );
  }
}
