import type { RecordedCall } from '../../../src/gateway/recording/recorder';
import type { Decision } from '../../../src/schemas/decision';
import type { Message, Tool } from '../../../src/schemas/message';
import { sha256Hex } from '../../../src/storage/digest';
import { digest } from '../../fakes/fake-activities';

export const tool = (name: string): Tool => ({ type: 'function', function: { name } });
export const user = (content: string): Message => ({ role: 'user', content });
export const idOf = (value: unknown): string =>
  `m-${sha256Hex(JSON.stringify(value)).slice(0, 12)}`;

/** One call as the gateway records it: `text` was asked, one of `tools` was offered and `arm` was taken. */
export function recordedCall(
  session: string,
  text: string,
  { arm = 'refund', tools = ['refund', 'weather'], turn = 0 } = {},
): RecordedCall {
  const question = user(text);
  const answer: Message = { role: 'assistant', content: arm };
  const offered = tools.map(tool);
  const decision: Decision = {
    id: `chatcmpl-${session}-${turn}`,
    sequence: turn + 1,
    policy: 'support',
    checkpoint: digest(1),
    context: [idOf(question)],
    toolset: `tools-${tools.join('-')}`,
    output: idOf(answer),
    sampled: { kind: 'arm', arm, propensity: 0.5, available: tools.length },
    sampling: { temperature: 1 },
    usage: { promptTokens: 1, completionTokens: 1 },
    latencyMs: 1,
    at: '2026-11-24T08:00:00.000Z',
  };
  return {
    session,
    agent: 'fake',
    decision,
    messages: new Map([question, answer].map((message) => [idOf(message), message])),
    tools: offered,
  };
}
