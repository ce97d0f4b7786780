import { createHash } from 'node:crypto';
import { IntegrityError, InvalidInputError } from '../../errors';
import type { Arm, RequestPatch, ToolArm } from '../../schemas/arm';
import type { ChatRequest } from '../../schemas/chat';
import type { ChoiceConfig } from '../../schemas/choice-config';
import type { SampledArm } from '../../schemas/decision';
import type { Json } from '../../schemas/json';
import { textOf, type Message, type Tool } from '../../schemas/message';
import { CONTEXT_MARK } from './features';

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
    offered = Int32Array.from(
      indicesWhere(config.arms, (arm) => arm.kind === 'tool' && names.has(arm.tool)),
    );
    byTools.set(tools, offered);
  }
  return offered;
}

function indicesWhere<T>(items: readonly T[], test: (item: T) => boolean): number[] {
  return items.flatMap((item, index) => (test(item) ? [index] : []));
}

const toolOf = (arm: Arm | undefined): string | null => (arm?.kind === 'tool' ? arm.tool : null);

/**
 * The mask of the tool arms: which of them a request can take, by index, ascending. A tool arm needs its tool to be offered; a
 * `tool_choice` that names a function leaves only the arms of that function.
 *
 * @returns an array that callers must not change; may be empty. The same object for the same tools array.
 * @throws {InvalidInputError} for `tool_choice: "none"` and for kinds of tools, if every arm of this policy calls a function.
 */
export function availableArmIndices(
  config: ChoiceConfig,
  tools: Tools,
  toolChoice?: ChatRequest['tool_choice'],
): Int32Array {
  if (toolChoice === 'none') {
    if (hasRequestArms(config)) return NO_ARMS;
    throw new InvalidInputError(
      'this policy answers by calling a tool: expected tool_choice auto, required or a function, got none',
    );
  }
  const offered = offeredArms(config, tools ?? NO_TOOLS);
  if (toolChoice === null || toolChoice === undefined || typeof toolChoice === 'string')
    return offered;
  if (toolChoice.type !== 'function') {
    if (hasRequestArms(config)) return NO_ARMS;
    throw new InvalidInputError(
      `this policy answers by calling a function: expected tool_choice auto, required or a function, got ${toolChoice.type.slice(0, 40)}`,
    );
  }
  const name = toolChoice.function?.name;
  return offered.filter((index) => toolOf(config.arms[index]) === name);
}

const NO_TOOLS: readonly Tool[] = [];
const NO_ARMS = new Int32Array();

export function hasRequestArms({ arms }: ChoiceConfig): boolean {
  return arms.some(({ kind }) => kind === 'request');
}

/** What a router's live traffic is drawn at; null: a policy without request arms is drawn at what its agent asks for. */
export function ownTemperature(config: ChoiceConfig): number | null {
  return hasRequestArms(config) ? (config.temperature ?? 1) : null;
}

/** Whether somebody would answer a request under the patch. */
export type Forwards = (patch: RequestPatch) => boolean;

/**
 * The mask of the request arms. What the agent itself says about `tool_choice` stands: it masks arms that say otherwise.
 *
 * @returns indices, ascending.
 */
export function requestArmIndices(
  config: ChoiceConfig,
  request: Pick<ChatRequest, 'tools' | 'tool_choice'>,
  forwards: Forwards,
): number[] {
  return indicesWhere(
    config.arms,
    (arm) => arm.kind === 'request' && fitsTools(arm.patch, request) && forwards(arm.patch),
  );
}

function fitsTools(
  { toolChoice }: RequestPatch,
  { tools, tool_choice: asked }: Pick<ChatRequest, 'tools' | 'tool_choice'>,
): boolean {
  if (toolChoice === undefined) return true;
  if (asked !== null && asked !== undefined && asked !== 'auto') return false;
  if (toolChoice === 'none') return true;
  const offered = tools ?? NO_TOOLS;
  if (typeof toolChoice === 'string') return offered.length > 0;
  return offered.some((tool) => tool.function?.name === toolChoice.function);
}

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

/** By config: one array for each set of arms that decisions name. */
const namedSets = new WeakMap<ChoiceConfig, Map<string, readonly string[]>>();

/**
 * The mask of a recorded decision. A decision that names its arms is taken at its word. Any other holds its tools and how many arms were
 * available, not its `tool_choice`; if fewer were available than the tools allow, a function was named, and it was the one that was
 * called.
 *
 * @returns the same array for the same arms.
 * @throws {IntegrityError} if the record fits no reading.
 */
export function decisionArms(
  config: ChoiceConfig,
  tools: Tools,
  sampled: SampledArm,
): readonly string[] {
  if (sampled.arms !== undefined) return namedArms(config, sampled, sampled.arms);
  const offered = availableArms(config, tools);
  if (offered.length === sampled.available && offered.includes(sampled.arm)) return offered;
  const arm = config.arms.find(({ name }) => name === sampled.arm);
  const named = config.arms.filter(
    (other) => toolOf(other) === toolOf(arm) && offered.includes(other.name),
  );
  if (named.length === sampled.available) return named.map(({ name }) => name);
  throw misfit(sampled, offered.length);
}

function namedArms(
  config: ChoiceConfig,
  sampled: SampledArm,
  arms: readonly string[],
): readonly string[] {
  let sets = namedSets.get(config);
  if (sets === undefined) namedSets.set(config, (sets = new Map<string, readonly string[]>()));
  const key = JSON.stringify(arms);
  const set = sets.get(key) ?? arms;
  sets.set(key, set);
  const isKnown = arms.every((name) => config.arms.some((arm) => arm.name === name));
  if (isKnown && arms.includes(sampled.arm) && arms.length === sampled.available) return set;
  throw misfit(sampled, arms.length);
}

function misfit({ arm, available }: SampledArm, got: number): IntegrityError {
  return new IntegrityError(
    'a recorded decision does not fit the policy and the tools that it names',
    { context: { arm, expected: available, got } },
  );
}

/** More tools than these are only counted: they are an agent's whole list, and say nothing about this request. */
const MAX_NAMED_TOOLS = 16;

/**
 * All that the policy reads of a request: the text of the last user message and, where its features take the context
 * (`ChoiceConfig.features.context`), words behind it that say how long the conversation is and what tools it offers:
 *
 *   ␟turn:<answers so far, at most 9> ␟length:<log2 of the characters of all messages> ␟tools:<log2 of their number> ␟tool:<name> …
 *
 * Stored feedback holds this text and nothing else of a request, so the same text is the same case.
 *
 * @throws {InvalidInputError} if there is no user message.
 */
export function policyText(
  { features }: ChoiceConfig,
  messages: readonly Message[],
  tools: Tools,
): string {
  const text = requestText(messages);
  if (features.context !== true) return text;
  const turn = messages.filter(({ role }) => role === 'assistant').length;
  const length = messages.reduce((sum, message) => sum + textOf(message).length, 0);
  const names = (tools ?? NO_TOOLS).map((tool) => tool.function?.name ?? tool.type);
  const words = [
    `turn:${Math.min(9, turn)}`,
    `length:${Math.floor(Math.log2(length + 1))}`,
    `tools:${Math.floor(Math.log2(names.length + 1))}`,
    ...(names.length <= MAX_NAMED_TOOLS ? names.sort().map((name) => `tool:${name}`) : []),
  ];
  return [text.replaceAll(CONTEXT_MARK, ' '), ...words].join(CONTEXT_MARK);
}

/**
 * The text of the last user message.
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
export function toolCallMessage(arm: ToolArm, input: string, callId: string): Message {
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
