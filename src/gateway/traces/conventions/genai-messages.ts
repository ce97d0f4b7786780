import type { Message } from '../../../schemas/message';
import { isObject } from '../otlp-span';
import { answerOf, contentOf, messagesOf } from './content';
import type { Convention } from './observed';
import { roleOf, textOr, toolOf } from './words';

const DETAILS = 'gen_ai.client.inference.operation.details';

/**
 * GenAI semantic conventions since 1.37: `gen_ai.input.messages`, `gen_ai.output.messages`, `gen_ai.system_instructions` and
 * `gen_ai.tool.definitions`, as JSON in attributes or with their structure; of the span, or of its event with the operation's details.
 *
 * Source: https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-spans/
 */
export const genAiMessages: Convention = ({ attributes, events }, json) => {
  const details = events.find(({ name }) => name === DETAILS)?.attributes;
  const holder = attributes.has('gen_ai.output.messages') ? attributes : details;
  if (holder === undefined) return null;
  const at = (name: string): unknown => holder.get(name) ?? attributes.get(name);
  const listed = (name: string): readonly unknown[] => json.list(at(name), name);
  const partsOf = (message: Record<string, unknown>): ReturnType<typeof contentOf> =>
    contentOf(message['parts'] ?? message['content'], json);

  const answers = listed('gen_ai.output.messages').filter(isObject);
  const { content } = contentOf(at('gen_ai.system_instructions'), json);
  const instructions: Message[] = content === '' ? [] : [{ role: 'system', content }];
  const asked = listed('gen_ai.input.messages').filter(isObject);
  return {
    input: [
      ...instructions,
      ...asked.flatMap((message) => messagesOf(partsOf(message), roleOf(message['role']))),
    ],
    output: answers.map((answer) => answerOf(partsOf(answer))),
    finishReason: textOr(answers[0]?.['finish_reason']),
    tools: listed('gen_ai.tool.definitions').flatMap((tool) => toolOf(tool, json) ?? []),
  };
};
