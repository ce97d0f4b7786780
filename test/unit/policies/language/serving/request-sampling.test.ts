import { chatCallOf } from '../../../../../src/policies/language/serving/request-sampling';
import type { ChatRequest } from '../../../../../src/schemas/chat';

const request = (changes: Record<string, unknown> = {}): ChatRequest => ({
  model: 'ratchet/writer',
  messages: [{ role: 'user', content: 'Hello' }],
  ...changes,
});
const tools = [{ type: 'function', function: { name: 'refund' } }];

test('what a request leaves out is the policy as it is', () => {
  expect(chatCallOf(request(), 1, 42)).toEqual({
    messages: [{ role: 'user', content: 'Hello' }],
    tools: [],
    toolChoice: 'auto',
    sampling: { temperature: 1, topK: 0, topP: 1, minP: 0, repetitionPenalty: 1 },
    seed: 42,
    maxTokens: null,
    stop: [],
    variables: {},
  });
});

test('OpenAI’s members, and vLLM’s beside them', () => {
  const call = chatCallOf(
    request({
      ...{ max_tokens: 9, max_completion_tokens: 7, top_p: 0.5, top_k: 40, min_p: 0.1, seed: 3 },
      ...{ repetition_penalty: 1.1, stop: 'END', chat_template_kwargs: { enable_thinking: false } },
    }),
    0.2,
    42,
  );
  expect(call).toMatchObject({
    sampling: { temperature: 0.2, topK: 40, topP: 0.5, minP: 0.1, repetitionPenalty: 1.1 },
    ...{ seed: 3, maxTokens: 7, stop: ['END'], variables: { enable_thinking: false } },
  });
  expect(chatCallOf(request({ top_k: -1 }), 1, 0).sampling.topK).toBe(0);
});

test('null is as if it was left out, and so are penalties of nothing', () => {
  const nothing = {
    stop: null,
    top_p: null,
    n: 1,
    frequency_penalty: 0,
    logit_bias: {},
    response_format: { type: 'text' },
  };
  expect(chatCallOf(request(nothing), 1, 42)).toEqual(chatCallOf(request(), 1, 42));
});

test('a choice of tools', () => {
  const toolChoice = (choice: unknown): unknown =>
    chatCallOf(request({ tools, tool_choice: choice }), 1, 0).toolChoice;
  expect(toolChoice('auto')).toBe('auto');
  expect(toolChoice('required')).toBe('required');
  expect(toolChoice({ type: 'function', function: { name: 'refund' } })).toEqual({
    tool: 'refund',
  });
  expect(() => toolChoice({ type: 'allowed_tools' })).toThrow(/allowed_tools/);
  expect(chatCallOf(request({ tools, tool_choice: 'none' }), 1, 0).tools).toEqual([]);
});

test.each([
  [{ max_tokens: 0 }, /max_tokens/],
  [{ top_p: 0 }, /top_p/],
  [{ top_k: -2 }, /top_k/],
  [{ n: 2 }, /n/],
  [{ frequency_penalty: 0.5 }, /frequency_penalty/],
  [{ presence_penalty: 0.5 }, /presence_penalty/],
  [{ logit_bias: { 5: 1 } }, /logit_bias/],
  [{ response_format: { type: 'json_schema' } }, /only text/],
  [{ seed: -1 }, /seed/],
  [{ stop: Array(17).fill('x') }, /stop/],
])('%j is refused by name', (changes, message) => {
  expect(() => chatCallOf(request(changes), 1, 0)).toThrow(message);
});
