import { isObject } from '../otlp-span';
import { answerOf, callsOf, contentOf, messagesOf } from './content';
import type { Convention } from './observed';
import { listOf, roleOf, textOr, toolOf } from './words';

/**
 * Vercel's AI SDK (`experimental_telemetry`): `ai.prompt.messages`, `ai.prompt.tools`, `ai.response.text`, `ai.response.toolCalls` and
 * `ai.response.object` of its spans `ai.generateText.doGenerate`, `ai.streamText.doStream` and the like.
 *
 * Source: https://ai-sdk.dev/docs/ai-sdk-core/telemetry
 */
export const aiSdk: Convention = ({ attributes }, json) => {
  const text = attributes.get('ai.response.text') ?? attributes.get('ai.response.object');
  const calls = callsOf(attributes.get('ai.response.toolCalls'), json);
  if (typeof text !== 'string' && calls.length === 0) return null;
  return {
    input: json
      .list(attributes.get('ai.prompt.messages'), 'ai.prompt.messages')
      .filter(isObject)
      .flatMap((message) =>
        messagesOf(contentOf(message['content'], json), roleOf(message['role'])),
      ),
    output: [answerOf({ content: textOr(text) ?? '', calls, results: [] })],
    finishReason: textOr(attributes.get('ai.response.finishReason')),
    tools: listOf(attributes.get('ai.prompt.tools')).flatMap((tool) => toolOf(tool, json) ?? []),
  };
};
