import { InvalidInputError } from '../../../errors';
import type { Tool } from '../../../schemas/message';
import { valueFrame } from './json-frames';
import { parseJsonSchema } from './json-schema';
import { literal, sequence, type Frame, type Stack } from './machine';

/** How a family of models writes calls; text/tool-calls.ts reads all of them. */
export type ToolCallFormat =
  /** `<tool_call>\n{"name": …, "arguments": …}\n</tool_call>`, one after the other. */
  | 'hermes'
  /** `[{"name": …, "arguments": …}, …]` */
  | 'mistral'
  /** `{"name": …, "parameters": …}`, one only. */
  | 'llama3';

/** What stands around calls, and between the parts of one. */
interface Spelling {
  readonly before: string;
  readonly between: string | null;
  readonly after: string;
  readonly call: (name: string) => readonly [begin: string, end: string];
}

const SPELLINGS: Readonly<Record<ToolCallFormat, Spelling>> = {
  hermes: {
    ...{ before: '', between: '\n', after: '' },
    call: (name) => [`<tool_call>\n{"name": ${name}, "arguments": `, '}\n</tool_call>'],
  },
  mistral: {
    ...{ before: '[', between: ', ', after: ']' },
    call: (name) => [`{"name": ${name}, "arguments": `, '}'],
  },
  llama3: {
    ...{ before: '', between: null, after: '' },
    call: (name) => [`{"name": ${name}, "parameters": `, '}'],
  },
};

/** The format that a chat template teaches its model, by what it says of calls. */
export function toolCallFormatOf(template: string): ToolCallFormat {
  if (template.includes('<tool_call>')) return 'hermes';
  return template.includes('[TOOL_CALLS]') ? 'mistral' : 'llama3';
}

/** Calls that one answer may make. */
const MOST_CALLS = 8;

/**
 * A text that is nothing but calls of tools, at least one, each with arguments that its tool's schema allows.
 *
 * @param only the one tool that may be called; left out, any.
 * @throws {InvalidInputError} if there is no such tool, or a schema says what a text cannot be held to.
 */
export function toolCallText(format: ToolCallFormat, tools: readonly Tool[], only?: string): Stack {
  const spelling = SPELLINGS[format];
  const calls = tools.flatMap((tool): Frame[][] => {
    if (tool.function === undefined) return [];
    const { name, parameters } = tool.function as { name: string; parameters?: unknown };
    if (only !== undefined && name !== only) return [];
    const [begin, end] = spelling.call(JSON.stringify(name));
    return [[literal(begin), valueFrame(argumentsShape(name, parameters)), literal(end)]];
  });
  if (calls.length === 0) {
    throw new InvalidInputError('a call is demanded, and there is no tool to call', {
      context: { tool: only },
    });
  }
  const { before, between, after } = spelling;
  const behind: Stack = after === '' ? null : { frame: literal(after), below: null };
  const text: Stack = { frame: callsFrame(calls, between, 0), below: behind };
  return before === '' ? text : { frame: literal(before), below: text };
}

function argumentsShape(tool: string, parameters: unknown): ReturnType<typeof parseJsonSchema> {
  try {
    return parseJsonSchema(parameters ?? { type: 'object', properties: {} });
  } catch (cause) {
    if (!(cause instanceof InvalidInputError)) throw cause;
    throw new InvalidInputError(`the parameters of a tool: ${cause.message}`, {
      context: { tool },
      cause,
    });
  }
}

/** One call, and perhaps another. @param made calls that are written already. */
function callsFrame(
  calls: readonly (readonly Frame[])[],
  between: string | null,
  made: number,
): Frame {
  const mayGoOn = made === 0 || (between !== null && made < MOST_CALLS);
  return {
    key: `c${made}`,
    canEnd: made > 0,
    step(byte, below): readonly Stack[] {
      if (!mayGoOn) return [];
      const behind: Stack = { frame: callsFrame(calls, between, made + 1), below };
      return calls.flatMap((call) => {
        const frames = made === 0 ? call : [literal(between ?? ''), ...call];
        const [first, ...rest] = frames as [Frame, ...Frame[]];
        return first.step(byte, sequence(rest, behind));
      });
    },
  };
}
