import type { PolicyServer } from '../../src/policies/policy-server';

/** As many tools as an agent offers with each call. */
export function manyTools(count: number): object[] {
  return Array.from({ length: count }, (_, i) => ({
    type: 'function',
    function: {
      name: `tool_${i}`,
      description: `Handles requests of kind ${i}`,
      parameters: { type: 'object', properties: { input: { type: 'string' } } },
    },
  }));
}

/** Answers at once, with the first of `tools`: what is left is the price of what stands in front. */
export const instantPolicies = (tools: number): PolicyServer => ({
  serve: async (checkpoint) => ({
    checkpoint,
    answer: async () => ({
      message: {
        role: 'assistant',
        content: null,
        tool_calls: [
          { id: 'call_0', type: 'function', function: { name: 'tool_0', arguments: '{}' } },
        ],
      },
      finishReason: 'tool_calls',
      sampled: { kind: 'arm', arm: 'tool_0', propensity: 0.5, available: tools },
      usage: { promptTokens: 10, completionTokens: 1 },
    }),
  }),
  close: async () => undefined,
});
