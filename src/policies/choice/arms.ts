import { createHash } from 'node:crypto';
import { IntegrityError, InvalidInputError } from '../../errors';
import type { Arm } from '../../schemas/arm';
import type { ChatRequest } from '../../schemas/chat';
import type { ChoiceConfig } from '../../schemas/choice-config';
import type { SampledArm } from '../../schemas/decision';
import type { Json } from '../../schemas/json';
import { textOf, type Message, type Tool } from '../../schemas/message';

type Tools = readonly Tool[] | null | undefined;

/** By config, then by tools: gateways intern tools, so the same offer is the same array. */
const offers = new WeakMap<ChoiceConfig, WeakMap<readonly Tool[], Int32Array>>();
const namesOf = new WeakMap<Int32Array, readonly string[]>();

function offeredArms(config: ChoiceConfig, tools: readonly Tool[]): Int32Array {
  let byTools = offers.get(config);
  if (byTools === undefined) offers.set(config, (byTools = new WeakMap()));
  let offered = byTools.get(tools);
  if (offered === undefined) {
    const names = new Set(tools.map((tool) => tool.function?.name));
    offered = Int32Array.from(indicesWhere(config.arms, (arm) => names.has(arm.tool)));
    byTools.set(tools, offered);
  }
  return offered;
}

function indicesWhere<T>(items: readonly T[], test: (item: T) => boolean): number[] {
  return items.flatMap((item, index) => (test(item) ? [index] : []));
}

/**
 * The mask: which arms a request can take, by index, ascending. A tool arm needs its tool to be offered; a `tool_choice`
 * that names a function leaves only the arms of that function.
 *
 * @returns an array that callers must not change; may be empty. The same object for the same tools array.
 * @throws {InvalidInputError} for `tool_choice: "none"` (every arm of this policy calls a tool), and for kinds of tools that it cannot call.
 */
export function availableArmIndices(
  config: ChoiceConfig,
  tools: Tools,
  toolChoice?: ChatRequest['tool_choice'],
): Int32Array {
  if (toolChoice === 'none') {
    throw new InvalidInputError(
      'this policy answers by calling a tool: expected tool_choice auto, required or a function, got none',
    );
  }
  const offered = offeredArms(config, tools ?? NO_TOOLS);
  if (toolChoice === null || toolChoice === undefined || typeof toolChoice === 'string')
    return offered;
  if (toolChoice.type !== 'function') {
    throw new InvalidInputError(
      `this policy answers by calling a function: expected tool_choice auto, required or a function, got ${toolChoice.type.slice(0, 40)}`,
    );
  }
  const name = toolChoice.function?.name;
  return offered.filter((index) => config.arms[index]?.tool === name);
}

const NO_TOOLS: readonly Tool[] = [];

/** As `availableArmIndices`, by name; the same array for the same tools array. */
export function availableArms(
  config: ChoiceConfig,
  tools: Tools,
  toolChoice?: ChatRequest['tool_choice'],
): readonly string[] {
  const indices = availableArmIndices(config, tools, toolChoice);
  let names = namesOf.get(indices);
  if (names === undefined) {
    names = Array.from(indices, (index) => (config.arms[index] as Arm).name);
    namesOf.set(indices, names);
  }
  return names;
}

/**
 * The mask of a recorded decision. A decision holds its tools and how many arms were available, not its `tool_choice`; if
 * fewer were available than the tools allow, a function was named, and it was the one that was called.
 *
 * @throws {IntegrityError} if the record fits neither reading.
 */
export function decisionArms(
  config: ChoiceConfig,
  tools: Tools,
  sampled: SampledArm,
): readonly string[] {
  const offered = availableArms(config, tools);
  if (offered.length === sampled.available && offered.includes(sampled.arm)) return offered;
  const arm = config.arms.find(({ name }) => name === sampled.arm);
  const named = config.arms.filter(
    ({ name, tool }) => tool === arm?.tool && offered.includes(name),
  );
  if (named.length === sampled.available) return named.map(({ name }) => name);
  throw new IntegrityError(
    'a recorded decision does not fit the policy and the tools that it names',
    {
      context: { arm: sampled.arm, expected: sampled.available, got: offered.length },
    },
  );
}

/**
 * What the policy reads: the text of the last user message.
 *
 * @throws {InvalidInputError} if there is none.
 */
export function requestText(messages: readonly Message[]): string {
  const user = messages.findLast((message) => message.role === 'user');
  if (user === undefined) {
    throw new InvalidInputError('messages: expected at least one of role user, got none');
  }
  return textOf(user);
}

/** The answer of a tool arm: one call of its tool, with `{{input}}` replaced in every string of the arguments. */
export function toolCallMessage(arm: Arm, input: string, callId: string): Message {
  return {
    role: 'assistant',
    content: null,
    tool_calls: [
      {
        id: callId,
        type: 'function',
        function: { name: arm.tool, arguments: JSON.stringify(fillIn(arm.arguments, input)) },
      },
    ],
  };
}

function fillIn(value: Json, input: string): Json {
  if (typeof value === 'string') return value.replaceAll('{{input}}', () => input);
  if (Array.isArray(value)) return (value as readonly Json[]).map((item) => fillIn(item, input));
  if (typeof value === 'object' && value !== null) {
    return Object.fromEntries(
      Object.entries(value).map(([key, item]) => [key, fillIn(item, input)]),
    );
  }
  return value;
}

/**
 * Names a call by what led to it, so that a repeated rollout records the same bytes. Unique within a conversation, which is
 * all that the protocol asks for.
 */
export function toolCallId(parts: readonly (string | number)[]): string {
  return `call_${createHash('sha256').update(JSON.stringify(parts)).digest('hex').slice(0, 24)}`;
}

/**
 * The text to hand back when the conversation ends in the result of a tool that the assistant called; null if it does not
 * end in a tool's message.
 *
 * @throws {InvalidInputError} if it ends in a tool's message that answers no call.
 */
export function finishedToolResult(messages: readonly Message[]): string | null {
  const last = messages.at(-1);
  if (last?.role !== 'tool') return null;
  const called = messages.some((message) =>
    (message.tool_calls ?? []).some(
      ({ id }) => id === last.tool_call_id && message.role === 'assistant',
    ),
  );
  if (!called) {
    throw new InvalidInputError(
      'messages: the last one answers a tool call that the assistant never made',
      {
        context: { toolCallId: last.tool_call_id },
      },
    );
  }
  return textOf(last);
}
