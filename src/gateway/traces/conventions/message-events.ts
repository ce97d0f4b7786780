import type { Message } from '../../../schemas/message';
import type { JsonTexts } from '../json-texts';
import type { OtlpEvent } from '../otlp-span';
import { isObject } from '../otlp-span';
import { answerOf, callsOf, contentOf, messagesOf, withCalls, type Content } from './content';
import type { Convention } from './observed';
import { roleOf, textOr } from './words';

/** Of whom an event tells, where it does not say. */
const ROLES: Readonly<Record<string, Message['role']>> = {
  'gen_ai.system.message': 'system',
  'gen_ai.user.message': 'user',
  'gen_ai.assistant.message': 'assistant',
  'gen_ai.tool.message': 'tool',
};
const CHOICE = 'gen_ai.choice';

type Body = Readonly<Record<string, unknown>>;

/**
 * GenAI semantic conventions 1.27 to 1.36, as events of the span: one for each message, and `gen_ai.choice` for each answer. What they say
 * stands as JSON in `gen_ai.event.content` (Azure, Semantic Kernel) or in attributes of the event (Strands Agents).
 *
 * Source: https://github.com/open-telemetry/semantic-conventions/blob/v1.36.0/docs/gen-ai/gen-ai-events.md
 */
export const messageEvents: Convention = ({ events }, json) => {
  const choices = events
    .filter(({ name }) => name === CHOICE)
    .map((event) => bodyOf(event, json))
    .sort((a, b) => indexOf(a) - indexOf(b));
  if (choices.length === 0) return null;
  return {
    input: events.flatMap((event) => {
      const usual = Object.hasOwn(ROLES, event.name) ? ROLES[event.name] : undefined;
      if (usual === undefined) return [];
      const body = bodyOf(event, json);
      const role = roleOf(body['role'], usual);
      const id = textOr(body['id'] ?? body['tool_call_id']);
      return messagesOf(contentWith(body, json), role, id);
    }),
    output: choices.map((choice) => answerOf(choiceOf(choice, json))),
    finishReason: textOr(choices[0]?.['finish_reason']),
    tools: [],
  };
};

function bodyOf({ attributes }: OtlpEvent, json: JsonTexts): Body {
  const body = json.read(attributes.get('gen_ai.event.content'));
  if (isObject(body)) return body;
  const own = Object.fromEntries(attributes);
  return body === undefined ? own : { ...own, content: body };
}

function indexOf({ index }: Body): number {
  return typeof index === 'number' ? index : 0;
}

function contentWith(body: Body, json: JsonTexts): Content {
  return withCalls(contentOf(body['content'], json), callsOf(body['tool_calls'], json));
}

/** The answer is in the choice's message, which may be a text, blocks, or an object; or it stands beside. */
function choiceOf(choice: Body, json: JsonTexts): Content {
  const message = json.read(choice['message'] ?? choice['message.content'] ?? choice['content']);
  if (!isObject(message)) return contentWith({ ...choice, content: message }, json);
  return contentWith({ tool_calls: choice['tool_calls'], ...message }, json);
}
