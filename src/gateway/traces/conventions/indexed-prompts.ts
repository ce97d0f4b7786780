import type { JsonTexts } from '../json-texts';
import type { Attributes } from '../otlp-span';
import { answerOf, contentOf, messagesOf, withCalls, type Content } from './content';
import type { Convention } from './observed';
import { indexed, roleOf, textOr, toolCall, toolOf } from './words';

/**
 * OpenLLMetry (Traceloop), and GenAI conventions before 1.27 as it spells them: `gen_ai.prompt.N.role`, `.content`, `.tool_calls.M.name`,
 * `.tool_call_id`; `gen_ai.completion.N.…` with `.finish_reason`; `llm.request.functions.N.name`.
 *
 * Source: https://github.com/traceloop/openllmetry/tree/main/packages
 */
export const indexedPrompts: Convention = ({ attributes }, json) => {
  const answers = indexed(attributes, 'gen_ai.completion');
  if (answers.length === 0) return null;
  return {
    input: indexed(attributes, 'gen_ai.prompt').flatMap((one) =>
      messagesOf(contentWith(one, json), roleOf(one.get('role')), textOr(one.get('tool_call_id'))),
    ),
    output: answers.map((one) => answerOf(contentWith(one, json))),
    finishReason: textOr(answers[0]?.get('finish_reason')),
    tools: indexed(attributes, 'llm.request.functions').flatMap(
      (one) => toolOf(Object.fromEntries(one), json) ?? [],
    ),
  };
};

/** Calls stand beside the content; of some clients within it as well. */
function contentWith(one: Attributes, json: JsonTexts): Content {
  const calls = indexed(one, 'tool_calls').map((call) =>
    toolCall(
      call.get('id'),
      call.get('name') ?? call.get('function.name'),
      call.get('arguments') ?? call.get('function.arguments'),
    ),
  );
  return withCalls(contentOf(one.get('content'), json), calls);
}
