import { decodeOnce } from './decoded-view';

/** A denied path: names joined by dots; `*` is any name or element, `**` any number of them. */
export type JsonPath = readonly string[];

export function parseJsonPath(path: string): JsonPath {
  return path
    .replace(/^\$\.?/, '')
    .split('.')
    .map((name) => name.replace(/\[(\d+|\*)?\]$/, ''))
    .filter((name) => name !== '');
}

/** Whether the names lead along one of the paths. */
export function isDenied(paths: readonly JsonPath[], names: readonly string[]): boolean {
  return paths.some((path) => leads(path, names, 0, 0));
}

function leads(path: JsonPath, names: readonly string[], p: number, n: number): boolean {
  for (; p < path.length; p++, n++) {
    const step = path[p];
    if (step === '**') {
      for (let rest = n; rest <= names.length; rest++)
        if (leads(path, names, p + 1, rest)) return true;
      return false;
    }
    if (n >= names.length || (step !== '*' && step !== names[n])) return false;
  }
  return n === names.length;
}

/** `\\\\\\"` is a quote in JSON in JSON in JSON. */
const MAX_QUOTE = 8;
/** Deeper values are denied with what holds them. */
const MAX_DEPTH = 64;
const TOKEN = /[ \t\n\r]*(?:([{}[\],:])|(")|([^\s{}[\],:"]+))/y;

/** A value of a JSON text, as a piece of it. */
export interface DeniedValue {
  readonly start: number;
  readonly end: number;
  /** How a string begins and ends there: JSON within a string of JSON has escaped quotes. */
  readonly quote: string;
}

/**
 * The values of a JSON text that stand under denied paths. Elements of arrays are passed over in paths: `items.price` is the price of each
 * item. Strings that are JSON themselves are searched as well, each a document of its own.
 *
 * @returns none if the text is not an object or array of JSON.
 */
export function deniedValues(
  text: string,
  paths: readonly JsonPath[],
  quote = '"',
): readonly DeniedValue[] {
  if (paths.length === 0 || !/^\s*[{[]/.test(text)) return [];
  const found: DeniedValue[] = [];
  const names: string[] = [];
  /** Of each open object or array: whether it has names, and where it began if it is denied as a whole. */
  const open: { readonly isObject: boolean; readonly deniedAt: number | null }[] = [];
  let name: string | null = null;
  let isDeniedInside = false;
  TOKEN.lastIndex = 0;
  for (let at = 0; at < text.length;) {
    TOKEN.lastIndex = at;
    const match = TOKEN.exec(text);
    if (match === null) break; // not JSON, or its end: what was found until here stays found
    const [, mark, quoted, scalar] = match;
    const string = quoted === undefined ? undefined : stringAt(text, TOKEN.lastIndex - 1);
    const end = TOKEN.lastIndex + (string === undefined ? 0 : string.length - 1);
    at = end;
    const inside = open.at(-1);
    if (mark === '{' || mark === '[') {
      if (inside?.isObject === true && name !== null) names.push(name);
      const isDeniedHere: boolean =
        !isDeniedInside &&
        (open.length >= MAX_DEPTH || (inside?.isObject === true && isDenied(paths, names)));
      open.push({ isObject: mark === '{', deniedAt: isDeniedHere ? end - 1 : null });
      isDeniedInside ||= isDeniedHere;
      name = null;
    } else if (mark === '}' || mark === ']') {
      const closed = open.pop();
      if (closed === undefined) break;
      if (closed.deniedAt !== null) {
        found.push({ start: closed.deniedAt, end, quote });
        isDeniedInside = false;
      }
      if (open.at(-1)?.isObject === true) names.pop();
      name = null;
    } else if (mark === ',') {
      name = null;
    } else if (string !== undefined && inside?.isObject === true && name === null) {
      name = nameOf(string);
    } else if (!isDeniedInside && (string !== undefined || scalar !== undefined)) {
      const start = end - (string ?? scalar ?? '').length;
      if (isDenied(paths, name === null ? names : [...names, name])) {
        found.push({ start, end, quote });
      } else if (string !== undefined && quote.length < MAX_QUOTE) {
        // No spread: there may be more than a call has room for.
        for (const value of deniedWithin(string, start, paths, quote)) found.push(value);
      }
    }
  }
  return found;
}

/** In a string that is JSON itself. */
function deniedWithin(
  string: string,
  offset: number,
  paths: readonly JsonPath[],
  quote: string,
): DeniedValue[] {
  const view = decodeOnce({ text: string, starts: null });
  const inner = view === null ? string : view.text;
  const escaped = JSON.stringify(quote).slice(1, -1);
  return deniedValues(inner.slice(1, -1), paths, escaped).map((value) => {
    const rawOf = (at: number): number =>
      offset + (view === null ? at : (view.starts[at] as number));
    return { start: rawOf(value.start + 1), end: rawOf(value.end + 1), quote: value.quote };
  });
}

/** No pattern: one with an alternative in a loop keeps a way back for each character of a text of megabytes. */
function stringAt(text: string, start: number): string {
  let end = text.indexOf('"', start + 1);
  for (; end !== -1; end = text.indexOf('"', end + 1)) {
    let backslashes = 0;
    while (text.charAt(end - 1 - backslashes) === '\\') backslashes++;
    if (backslashes % 2 === 0) break;
  }
  return text.slice(start, end === -1 ? text.length : end + 1);
}

function nameOf(quoted: string): string {
  try {
    return quoted.includes('\\') ? (JSON.parse(quoted) as string) : quoted.slice(1, -1);
  } catch {
    return quoted; // not JSON: no path names it
  }
}
