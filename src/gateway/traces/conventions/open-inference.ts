import type { JsonTexts } from '../json-texts';
import type { Attributes } from '../otlp-span';
import { answerOf, contentOf, messagesOf, withCalls, type Content } from './content';
import type { Convention } from './observed';
import { indexed, roleOf, textOr, toolCall, toolOf } from './words';

/**
 * OpenInference (Arize, Phoenix): `llm.input_messages.N.message.role`, `.content`, `.contents.M.message_content.text`,
 * `.tool_calls.M.tool_call.function.name`, `.tool_call_id`; `llm.output_messages.N.…`; `llm.tools.N.tool.json_schema`.
 *
 * Source: https://github.com/Arize-ai/openinference/blob/main/spec/semantic_conventions.md
 */
export const openInference: Convention = ({ attributes }, json) => {
  const answers = indexed(attributes, 'llm.output_messages');
  if (answers.length === 0) return null;
  return {
    input: indexed(attributes, 'llm.input_messages').flatMap((one) => {
      const callId = textOr(one.get('message.tool_call_id'));
      return messagesOf(contentWith(one, json), roleOf(one.get('message.role')), callId);
    }),
    output: answers.map((one) => answerOf(contentWith(one, json))),
    finishReason: textOr(attributes.get('llm.finish_reason')),
    tools: indexed(attributes, 'llm.tools').flatMap(
      (one) => toolOf(one.get('tool.json_schema'), json) ?? [],
    ),
  };
};

function contentWith(one: Attributes, json: JsonTexts): Content {
  const parts = indexed(one, 'message.contents').map(partOf);
  const content = parts.length > 0 ? parts : one.get('message.content');
  const calls = indexed(one, 'message.tool_calls').map((call) =>
    toolCall(
      call.get('tool_call.id'),
      call.get('tool_call.function.name'),
      call.get('tool_call.function.arguments'),
    ),
  );
  return withCalls(contentOf(content, json), calls);
}

/** As a block of OpenAI's. */
function partOf(part: Attributes): object {
  const url = part.get('message_content.image.image.url');
  if (url !== undefined) return { type: 'image_url', image_url: { url } };
  const type = textOr(part.get('message_content.type')) ?? 'text';
  return { type, text: textOr(part.get('message_content.text')) ?? '' };
}
