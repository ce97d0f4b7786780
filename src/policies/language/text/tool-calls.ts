import { z } from 'zod';
import { sha256Hex } from '../../../storage/digest';
import type { ToolCall } from '../../../schemas/message';

/** What a text says: its calls, and what stands around them. */
export interface ParsedText {
  readonly content: string;
  readonly calls: readonly ToolCall[];
}

/** The ways in which models write a call: `arguments` (Hermes, Qwen, Mistral) or `parameters` (Llama 3). */
const Call = z
  .looseObject({
    name: z.string(),
    arguments: z.union([z.record(z.string(), z.unknown()), z.string()]).optional(),
    parameters: z.record(z.string(), z.unknown()).optional(),
  })
  .refine((call) => call.arguments !== undefined || call.parameters !== undefined);

const TAGGED = /<tool_call>\s*(\{.*?\})\s*<\/tool_call>/gs;
const MARK = '[TOOL_CALLS]';

/**
 * Finds the calls in what a model wrote: `<tool_call>{…}</tool_call>` (Hermes, Qwen), `[TOOL_CALLS] [{…}]` (Mistral), or nothing but an object
 * or a list of them (Llama 3.1). What is not a call of one of the tools stays text: the model made a mistake, and whoever reads it can see which.
 *
 * @param tools names. @param seed what the ids of the calls are made from.
 */
export function parseToolCalls(text: string, tools: readonly string[], seed: string): ParsedText {
  if (tools.length === 0) return { content: text, calls: [] };
  const found: z.infer<typeof Call>[] = [];
  const known = (json: string): readonly z.infer<typeof Call>[] => {
    const calls = callsOf(json);
    return calls.every(({ name }) => tools.includes(name)) ? calls : [];
  };
  let content = text.replace(TAGGED, (whole, json: string) => {
    const calls = known(json);
    found.push(...calls);
    return calls.length > 0 ? '' : whole;
  });
  if (found.length === 0) {
    const mark = text.indexOf(MARK);
    const json = mark < 0 ? text : text.slice(mark + MARK.length);
    const calls = known(json.trim());
    if (calls.length > 0) {
      found.push(...calls);
      content = mark < 0 ? '' : text.slice(0, mark);
    }
  }
  return {
    content: found.length > 0 ? content.trim() : text,
    calls: found.map((call, i) => ({
      id: `call_${sha256Hex(`${seed}:${i}`).slice(0, 24)}`,
      type: 'function',
      function: { name: call.name, arguments: argumentsOf(call) },
    })),
  };
}

function callsOf(json: string): readonly z.infer<typeof Call>[] {
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch {
    return []; // text that is no call
  }
  const parsed = z.array(Call).safeParse(Array.isArray(value) ? value : [value]);
  return parsed.success ? parsed.data : [];
}

function argumentsOf(call: z.infer<typeof Call>): string {
  const given = call.arguments ?? call.parameters;
  return typeof given === 'string' ? given : JSON.stringify(given);
}
