import type { SampledTokens } from '../../../schemas/decision';
import { asObject, objectsOf, type JsonObject } from '../loose-json';

/** One choice of an answer while it comes. */
export interface ChoiceDraft {
  /** Takes it from an answer that is not streamed. */
  whole(choice: JsonObject): void;
  /** Adds a chunk's `delta`. */
  add(choice: JsonObject): void;
  isFinished(): boolean;
  finishReason(): string | null;
  message(): JsonObject;
  /** @param prompt the ids of the prompt, as they came. null if the upstream gave no ids. */
  tokens(prompt: unknown): SampledTokens | null;
}

interface ToolCallDraft {
  readonly rest: Record<string, unknown>;
  readonly function: Record<string, unknown>;
  readonly arguments: string[];
}

/** Members of a delta whose texts are pieces; any other one replaces what it was before. */
const PIECES: ReadonlySet<string> = new Set([
  'content',
  'refusal',
  'reasoning_content',
  'reasoning',
]);
const MAX_TOOL_CALLS = 1_024;

export function createChoiceDraft(): ChoiceDraft {
  const pieces = new Map<string, string[]>();
  const rest: Record<string, unknown> = {};
  const calls = new Map<number, ToolCallDraft>();
  const ids: number[] = [];
  const logprobs: number[] = [];
  let given: JsonObject | null = null;
  let finishReason: string | null = null;
  let isFinished = false;

  const addCall = (call: JsonObject, position: number): void => {
    const index = typeof call['index'] === 'number' ? call['index'] : position;
    let draft = calls.get(index);
    if (draft === undefined) {
      if (calls.size === MAX_TOOL_CALLS) return;
      calls.set(index, (draft = { rest: {}, function: {}, arguments: [] }));
    }
    const { function: called, ...more } = call;
    Object.assign(draft.rest, withoutNulls(more));
    delete draft.rest['index']; // says where the pieces belong, and is no part of the call
    const { arguments: piece, ...named } = asObject(called) ?? {};
    Object.assign(draft.function, withoutNulls(named));
    if (typeof piece === 'string') draft.arguments.push(piece);
  };
  const addTokens = (choice: JsonObject): void => {
    if (Array.isArray(choice['token_ids']))
      for (const id of choice['token_ids']) ids.push(id as number);
    for (const { logprob } of objectsOf(asObject(choice['logprobs'])?.['content'])) {
      logprobs.push(logprob as number);
    }
  };
  const finish = (choice: JsonObject): void => {
    const reason = choice['finish_reason'];
    if (reason === undefined || reason === null) return;
    finishReason = typeof reason === 'string' ? reason : null;
    isFinished = true;
  };

  return {
    whole(choice) {
      given = asObject(choice['message']);
      addTokens(choice);
      finish(choice);
      isFinished = given !== null; // some upstreams leave `finish_reason` out of an answer that is whole by itself
    },

    add(choice) {
      const { tool_calls: toolCalls, ...delta } = asObject(choice['delta']) ?? {};
      for (const [name, value] of Object.entries(delta)) {
        if (value === null || value === undefined) continue;
        if (!PIECES.has(name) || typeof value !== 'string') rest[name] = value;
        else if (pieces.has(name)) pieces.get(name)?.push(value);
        else pieces.set(name, [value]);
      }
      for (const [position, call] of objectsOf(toolCalls).entries()) addCall(call, position);
      addTokens(choice);
      finish(choice);
    },

    isFinished: () => isFinished,
    finishReason: () => finishReason,

    message() {
      if (given !== null) return given;
      const texts = Array.from(pieces, ([name, parts]) => [name, parts.join('')] as const);
      const toolCalls = Array.from(calls)
        .sort(([a], [b]) => a - b)
        .map(([, call]) => ({
          type: 'function',
          ...call.rest,
          function: { ...call.function, arguments: call.arguments.join('') },
        }));
      return {
        role: 'assistant',
        ...rest,
        ...Object.fromEntries(texts),
        ...(toolCalls.length === 0 ? {} : { tool_calls: toolCalls }),
      };
    },

    tokens(prompt) {
      if (ids.length === 0 || !ids.every(isId)) return null;
      const isEach = logprobs.length === ids.length && logprobs.every(Number.isFinite);
      return {
        prompt: Array.isArray(prompt) && prompt.every(isId) ? prompt : null,
        completion: ids,
        logprobs: isEach ? logprobs : null,
      };
    },
  };
}

function isId(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function withoutNulls(object: JsonObject): JsonObject {
  return Object.fromEntries(Object.entries(object).filter(([, value]) => value !== null));
}
