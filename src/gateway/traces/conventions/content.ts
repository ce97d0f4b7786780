import type { Message, ToolCall } from '../../../schemas/message';
import type { JsonTexts } from '../json-texts';
import { isObject } from '../otlp-span';
import { listOf, textOr, toolCall } from './words';

/** What stands in a message: its own words, the tools that it calls, and what tools answered. */
export interface Content {
  readonly content: NonNullable<Message['content']>;
  readonly calls: readonly ToolCall[];
  readonly results: readonly Message[];
}

type Block = Readonly<Record<string, unknown>>;

/**
 * Text as it is; or blocks, with their structure or as JSON: those of the GenAI conventions, of OpenAI's, Anthropic's and Bedrock's APIs, and
 * of the AI SDK, for instrumentations write down what their client was given. What a model thought is left out, as it is of proxied calls.
 */
export function contentOf(value: unknown, json: JsonTexts): Content {
  const blocks = blocksOf(value, json);
  if (blocks === null) return { content: textOr(value) ?? '', calls: [], results: [] };
  const others = blocks.filter((block) => kindOf(block) === 'other');
  const text = textOfBlocks(blocks);
  return {
    content:
      others.length === 0
        ? text
        : [
            ...(text === '' ? [] : [{ type: 'text', text }]),
            ...others.map((block) => ({ ...block, type: String(block['type']) })),
          ],
    calls: blocks.flatMap((block) => (kindOf(block) === 'call' ? [callOf(block)] : [])),
    results: blocks.flatMap((block) => (kindOf(block) === 'result' ? [resultOf(block)] : [])),
  };
}

/** null for text. Somebody may have typed JSON: only what is blocks throughout is taken for that. */
function blocksOf(value: unknown, json: JsonTexts): readonly Block[] | null {
  if (Array.isArray(value)) {
    const all = value.map((one: unknown) => (typeof one === 'string' ? { text: one } : one));
    return all.filter(isBlock);
  }
  const read = json.read(value);
  return Array.isArray(read) && read.length > 0 && read.every(isBlock) ? read : null;
}

/** The same, with calls that stand beside it. Clients that put them within as well mean the same calls. */
export function withCalls(said: Content, calls: readonly ToolCall[]): Content {
  return calls.length === 0 ? said : { ...said, calls };
}

/** A message as several of the internal form, where it holds what tools answered. @param callId of the call that a tool's message answers. */
export function messagesOf(
  { content, calls, results }: Content,
  role: Message['role'],
  callId: string | null = null,
): Message[] {
  const own: Message = {
    ...{ role, content },
    ...(calls.length === 0 ? {} : { tool_calls: [...calls] }),
    ...(role === 'tool' && callId !== null ? { tool_call_id: callId } : {}),
  };
  const isMore = content.length > 0 || calls.length > 0 || results.length === 0;
  return isMore ? [...results, own] : [...results];
}

export function answerOf({ content, calls }: Content): Message {
  return {
    ...{ role: 'assistant', content },
    ...(calls.length === 0 ? {} : { tool_calls: [...calls] }),
  };
}

/** What a tool answered, as text. */
export function resultText(value: unknown): string {
  if (Array.isArray(value) && value.length > 0 && value.every(isBlock)) {
    const text = textOfBlocks(value);
    if (text !== '') return text;
  }
  // The AI SDK says of what kind it is.
  if (isObject(value) && typeof value['type'] === 'string' && 'value' in value)
    return textOr(value['value']) ?? '';
  return textOr(value) ?? '';
}

type Kind = 'text' | 'thought' | 'call' | 'result' | 'other';

const KINDS: Readonly<Record<string, Kind>> = {
  ...{ text: 'text', input_text: 'text', output_text: 'text' },
  ...{ reasoning: 'thought', thinking: 'thought', redacted_thinking: 'thought' },
  ...{ tool_call: 'call', tool_use: 'call', 'tool-call': 'call' },
  ...{ tool_call_response: 'result', tool_result: 'result', 'tool-result': 'result' },
};
/** Bedrock's blocks say what they are by their only member. */
const MEMBERS: readonly (readonly [string, Kind])[] = [
  ['text', 'text'],
  ['reasoningContent', 'thought'],
  ['toolUse', 'call'],
  ['toolResult', 'result'],
];

function kindOf(block: Block): Kind | null {
  const { type } = block;
  if (typeof type === 'string') return Object.hasOwn(KINDS, type) ? KINDS[type]! : 'other';
  return MEMBERS.find(([member]) => Object.hasOwn(block, member))?.[1] ?? null;
}

function isBlock(value: unknown): value is Block {
  return isObject(value) && kindOf(value) !== null;
}

function textOfBlocks(blocks: readonly Block[]): string {
  return blocks
    .map((block) =>
      kindOf(block) === 'text' ? (textOr(block['text'] ?? block['content']) ?? '') : '',
    )
    .filter((text) => text !== '')
    .join('\n');
}

function callOf(block: Block): ToolCall {
  const of = isObject(block['toolUse']) ? block['toolUse'] : block;
  return toolCall(
    of['id'] ?? of['toolUseId'] ?? of['toolCallId'],
    of['name'] ?? of['toolName'],
    of['arguments'] ?? of['input'] ?? of['args'],
  );
}

function resultOf(block: Block): Message {
  const of = isObject(block['toolResult']) ? block['toolResult'] : block;
  const id = of['id'] ?? of['tool_use_id'] ?? of['toolUseId'] ?? of['toolCallId'];
  const said = of['response'] ?? of['result'] ?? of['content'] ?? of['output'];
  return { role: 'tool', content: resultText(said), tool_call_id: textOr(id) ?? '' };
}

/** Tool calls of a message that has them beside its content, in OpenAI's form or without the `function` around. */
export function callsOf(value: unknown, json: JsonTexts): ToolCall[] {
  return listOf(json.read(value))
    .filter(isObject)
    .map((call) => {
      const said = isObject(call['function']) ? call['function'] : call;
      const id = call['id'] ?? call['toolCallId'];
      const args = said['arguments'] ?? said['input'] ?? said['args'];
      return toolCall(id, said['name'] ?? said['toolName'], args);
    });
}
