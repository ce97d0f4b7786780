import { fromSchema } from './from-schema';

/** What a request asks for, whatever protocol it came in. */
export interface Asked {
  readonly turns: readonly Turn[];
  readonly tools: readonly AskedTool[];
  readonly toolChoice: 'none' | 'auto' | 'required' | { readonly name: string };
  readonly isParallel: boolean;
  /** Whether the answer shall be JSON; a JSON Schema says of what form. */
  readonly json: boolean | object;
  /** Of the answer; null for as many as it needs. */
  readonly maxTokens: number | null;
}

export interface AskedTool {
  readonly name: string;
  /** JSON Schema of its arguments. */
  readonly parameters: unknown;
}

export interface Turn {
  readonly by: 'system' | 'user' | 'assistant' | 'tool';
  readonly text: string;
}

/** What a message's content says: its parts that have a text, with spaces between. */
export function contentText(content: string | readonly object[] | null | undefined): string {
  if (typeof content === 'string') return content;
  return (content ?? []).map((part) => ('text' in part ? String(part.text) : '')).join(' ');
}

/** What the double answers. */
export interface Thought {
  /** The text token by token; empty where tools are called. */
  readonly tokens: readonly string[];
  readonly calls: readonly { readonly name: string; readonly arguments: string }[];
  /** Whether `maxTokens` cut it short. */
  readonly isCut: boolean;
  readonly promptTokens: number;
  readonly completionTokens: number;
}

/** Characters of two, three and four bytes, so that every answer can be cut inside of one. */
const MARK = 'ñ 日本 🚲';
const TOKENS_PER_TURN = 3;

/**
 * The whole of the double's mind. The same request gets the same answer:
 * - asked by a user who mentions a tool (a word of four letters or more of its name), it calls it: several where several are mentioned;
 * - told what tools answered, it repeats that; otherwise it repeats the last text.
 *
 * @param choice which of several answers (`n`).
 */
export function think(asked: Asked, choice = 0): Thought {
  const { turns } = asked;
  const promptTokens = turns.reduce((sum, { text }) => sum + cut(text).length + TOKENS_PER_TURN, 0);
  const last = turns.at(-1);
  const isTold = last?.by === 'tool' && asked.toolChoice === 'auto';
  const calls = isTold ? [] : callsOf(asked, last?.text ?? '');
  if (calls.length > 0) {
    const completionTokens = calls.reduce((sum, call) => sum + cut(call.arguments).length + 1, 0);
    return { tokens: [], calls, isCut: false, promptTokens, completionTokens };
  }
  const all = cut(textOf(asked, choice));
  const tokens = asked.maxTokens === null ? all : all.slice(0, asked.maxTokens);
  const isCut = tokens.length < all.length;
  return { tokens, calls: [], isCut, promptTokens, completionTokens: tokens.length };
}

function textOf({ turns, json }: Asked, choice: number): string {
  const results = turns.slice(turns.findLastIndex(({ by }) => by !== 'tool') + 1);
  const said = turns.at(-1)?.text ?? '';
  const text =
    results.length > 0
      ? `The tools said: ${results.map((turn) => turn.text).join(' | ')}`
      : `You said: ${said}`;
  if (json === true) return JSON.stringify({ answer: `${text} ${MARK}` });
  if (json !== false) return JSON.stringify(fromSchema(json, said));
  return choice === 0 ? `${text} ${MARK}` : `${text} ${MARK} (${choice})`;
}

function callsOf({ tools, toolChoice, isParallel }: Asked, text: string): Thought['calls'] {
  if (toolChoice === 'none') return [];
  const words = new Set(text.toLowerCase().match(/[\p{L}\d]+/gu));
  const mentioned = tools.filter(({ name }) => {
    if (typeof toolChoice === 'object') return name === toolChoice.name;
    const parts = name
      .replace(/([a-z])([A-Z])/g, '$1_$2')
      .toLowerCase()
      .split(/[^a-z0-9]+/);
    return parts.some((part) => part.length >= 4 && words.has(part));
  });
  const chosen =
    mentioned.length === 0 && toolChoice === 'required' ? tools.slice(0, 1) : mentioned;
  return (isParallel ? chosen : chosen.slice(0, 1)).map(({ name, parameters }) => ({
    name,
    arguments: JSON.stringify(fromSchema(parameters, text)),
  }));
}

/** Text as tokens: at most five letters, or one sign. */
export function cut(text: string): string[] {
  return text.match(/\s*\p{L}{1,5}|\s*\S|\s+/gu) ?? [];
}
