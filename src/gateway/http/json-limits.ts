import { badRequest, type RequestError } from './request-error';

/** Deeper than any real request, and shallow enough for code that walks it recursively. */
export const MAX_DEPTH = 100;
/** Strings (names of members, too), objects and arrays in one body: a conversation of thousands of tool calls has fewer. Numbers are cheap, and embeddings send many. */
export const MAX_NODES = 100_000;
/** A text that is shorter cannot hold enough to matter, and is not looked at. */
const SHORT = 64 * 1024;

const BRACKET_OR_QUOTE = /["[\]{}]/g;

/**
 * Refuses a text before it is parsed if parsing, checking and hashing it would keep the process from everything else for seconds: 4 MB hold
 * 300,000 members or 4,000,000 brackets, which take a hundred times what 4 MB of prose do. Text that is no JSON passes, or not; the parser says what is wrong with it.
 *
 * @throws {RequestError} 400
 */
export function assertParseable(text: string, maxNodes: number): void {
  if (text.length >= SHORT) countNodes(text, maxNodes);
}

/**
 * How many strings, objects and arrays a text holds, names of members included, if it is JSON.
 *
 * @throws {RequestError} 400 if they are more than `maxNodes`, or nested too deeply.
 */
export function countNodes(text: string, maxNodes: number): number {
  let [depth, nodes] = [0, 0];
  BRACKET_OR_QUOTE.lastIndex = 0;
  for (
    let match = BRACKET_OR_QUOTE.exec(text);
    match !== null;
    match = BRACKET_OR_QUOTE.exec(text)
  ) {
    const [found] = match;
    if (found === '}' || found === ']') {
      depth--;
      continue;
    }
    if (++nodes > maxNodes) throw tooComplex(maxNodes);
    if (found === '"') BRACKET_OR_QUOTE.lastIndex = endOfString(text, match.index);
    else if (++depth > MAX_DEPTH) throw tooDeep();
  }
  return nodes;
}

/** @returns the index behind the closing quote. */
function endOfString(text: string, start: number): number {
  for (let end = text.indexOf('"', start + 1); ; end = text.indexOf('"', end + 1)) {
    if (end === -1) return text.length;
    let before = end;
    while (text[before - 1] === '\\') before--;
    if ((end - before) % 2 === 0) return end + 1;
  }
}

export function tooDeep(): RequestError {
  return badRequest(
    `the body is nested too deeply: expected at most ${MAX_DEPTH} levels`,
    'invalid_json',
  );
}

function tooComplex(maxNodes: number): RequestError {
  return badRequest(
    `the body has too many parts: expected at most ${maxNodes} strings, objects and arrays`,
    'body_too_complex',
  );
}
