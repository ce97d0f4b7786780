import { describeError } from '../../errors';
import type { AgentExit } from '../../ports/agent-runner';
import type { Json } from '../../schemas/json';
import { canonicalJson } from '../../storage/canonical-json';

/** The longest result of an agent, as UTF-8 JSON: results are part of trajectories. */
export const MAX_RESULT_BYTES = 1 << 20;

export function crashed(detail: string): Extract<AgentExit, { kind: 'crashed' }> {
  return { kind: 'crashed', detail };
}

/**
 * The exit of an agent that returned `value`: a copy of it, or a crash that says why it is not a result. What JSON would
 * change silently is refused here, where it costs one attempt, and not where a whole batch is written.
 */
export function returned(value: unknown): AgentExit {
  let json: string;
  try {
    json = canonicalJson(value);
  } catch (error) {
    // Whatever an agent returns is an exit, never an error of the runner.
    return crashed(`the agent's result is not JSON: ${describeError(error)}`);
  }
  const sizeBytes = Buffer.byteLength(json);
  if (sizeBytes > MAX_RESULT_BYTES) {
    return crashed(
      `the agent's result is too long: expected at most ${MAX_RESULT_BYTES} bytes of JSON, got ${sizeBytes}`,
    );
  }
  return { kind: 'returned', result: JSON.parse(json) as Json };
}
