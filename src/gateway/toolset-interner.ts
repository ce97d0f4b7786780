import { z } from 'zod';
import { Tool } from '../schemas/message';
import { canonicalJson } from '../storage/canonical-json';
import { sha256Hex } from '../storage/digest';
import { parseJson, validate } from './http/json-body';

/** The tools of a request, the same objects for the same JSON text: what is derived from them can be kept in a WeakMap. */
export interface Toolset {
  /** sha256 of the canonical JSON of `tools`. */
  readonly id: string;
  readonly tools: Tool[];
}

export interface ParsedBody {
  /** The body; its `tools` are those of `toolset`. */
  readonly body: unknown;
  /** null if the body has no tools, or something else under that name. */
  readonly toolset: Toolset | null;
}

interface Known {
  readonly text: string;
  readonly toolset: Toolset;
}

/** An agent has a few lists of tools. Longer ones than this are not remembered, only parsed each time. */
const MAX_KNOWN = 32;
const MAX_LENGTH = 256 * 1024;
/** A body in which `"tools"` occurs more often than this is parsed the plain way. */
const MAX_OCCURRENCES = 4;

const Tools = z.array(Tool);

/** A list of tools as a protocol writes it, in the internal form, as far as it is valid. @throws {RequestError} 400 */
export type ReadTools = (list: readonly unknown[]) => readonly unknown[];

const asTheyAre: ReadTools = (list) => list;

/**
 * Parses bodies whose list of tools was mostly seen before. An agent sends the same 20 KB of tools with each call, and parsing, checking
 * and hashing them would cost many times what all the rest of a request does.
 *
 * So the text of the list is looked for as it is, and a placeholder is parsed in its place. That is exact: in valid JSON `"tools":`
 * is always a key (within a string its quotes would be escaped); the text behind it, being a whole array, ends where the value
 * ends; and unless the placeholder turns up as the body's own `tools`, the body is parsed as a whole.
 */
export class ToolsetInterner {
  /** Most recently used first. */
  readonly #known: Known[] = [];

  constructor(readonly readTools: ReadTools = asTheyAre) {}

  /** @throws {RequestError} 400 if the text is not JSON, or a tool is not valid. */
  parse(text: string): ParsedBody {
    for (const start of toolListStarts(text)) {
      const known = this.#find(text, start);
      if (known === null) continue;
      const placeholder = `tools at ${start}`;
      const body = parseOrNull(
        `${text.slice(0, start)}"${placeholder}"${text.slice(start + known.text.length)}`,
      );
      if (body?.['tools'] === placeholder) {
        body['tools'] = known.toolset.tools;
        return { body, toolset: known.toolset };
      }
    }
    return this.#parseWhole(text);
  }

  #parseWhole(text: string): ParsedBody {
    const body = parseJson(text);
    if (!isObject(body) || !Array.isArray(body['tools']) || body['tools'].length === 0) {
      return { body, toolset: null };
    }
    // Whatever the protocol: one tool that is none would make the segment that it is recorded in unreadable.
    const tools = validate(Tools, this.readTools(body['tools']), ['tools']);
    const toolset: Toolset = { id: sha256Hex(canonicalJson(tools)), tools };
    this.#remember(text, canonicalJson(body['tools']), toolset);
    return { body: { ...body, tools }, toolset };
  }

  /** Under the first list in the text that has the same JSON. */
  #remember(text: string, json: string, toolset: Toolset): void {
    for (const start of toolListStarts(text)) {
      const list = text.slice(start, endOfArray(text, start));
      if (list.length > MAX_LENGTH || canonicalJson(parseJson(list)) !== json) continue;
      // Copied: a slice would keep the whole body in memory.
      this.#known.unshift({ text: Buffer.from(list).toString(), toolset });
      if (this.#known.length > MAX_KNOWN) this.#known.pop();
      return;
    }
  }

  #find(text: string, start: number): Known | null {
    for (const [i, known] of this.#known.entries()) {
      if (text.slice(start, start + known.text.length) !== known.text) continue;
      if (i > 0) {
        this.#known.splice(i, 1);
        this.#known.unshift(known);
      }
      return known;
    }
    return null;
  }
}

const KEY = '"tools"';
const COLON_AND_LIST = /[ \t\n\r]*:[ \t\n\r]*(?=\[)/y;

function* toolListStarts(text: string): Generator<number> {
  let at = text.indexOf(KEY);
  for (let n = 0; at !== -1 && n < MAX_OCCURRENCES; n++) {
    COLON_AND_LIST.lastIndex = at + KEY.length;
    if (COLON_AND_LIST.test(text)) yield COLON_AND_LIST.lastIndex;
    at = text.indexOf(KEY, at + KEY.length);
  }
}

/** @param start where the `[` of an array stands in valid JSON. @returns the index behind its `]`. */
function endOfArray(text: string, start: number): number {
  let depth = 0;
  let isInString = false;
  for (let i = start; i < text.length; i++) {
    const character = text[i];
    if (isInString) {
      if (character === '\\') i++;
      else if (character === '"') isInString = false;
    } else if (character === '"') isInString = true;
    else if (character === '[') depth++;
    else if (character === ']' && --depth === 0) return i + 1;
  }
  return text.length;
}

/** null if it is not a JSON object: the whole body is parsed then, and its error has the right position. */
function parseOrNull(text: string): Record<string, unknown> | null {
  try {
    const body = parseJson(text);
    return isObject(body) ? body : null;
  } catch {
    // See above.
    return null;
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
