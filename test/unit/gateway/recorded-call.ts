import type { RecordedCall } from '../../../src/gateway/recording/recorder';
import type { Decision } from '../../../src/schemas/decision';
import { NOW, OTHER, tools } from './gateway-fixture';

/** A call with one question and one answer. */
export function recordedCall(
  decision: Partial<Decision> = {},
  overrides: Partial<RecordedCall> = {},
): RecordedCall {
  return {
    session: 's',
    agent: 'desk',
    tools,
    messages: new Map([
      ['question', { role: 'user' as const, content: 'why?' }],
      ['answer', { role: 'assistant' as const, content: 'because' }],
    ]),
    ...overrides,
    decision: {
      ...{ id: 'chatcmpl-1', sequence: 1, policy: 'support', checkpoint: OTHER },
      ...{ context: ['question'], toolset: 'toolset', output: 'answer' },
      sampled: { kind: 'arm', arm: 'refund', propensity: 0.5, available: 3 },
      sampling: { temperature: 1 },
      usage: { promptTokens: 1, completionTokens: 1 },
      latencyMs: 1,
      at: new Date(NOW).toISOString(),
      ...decision,
    },
  };
}
