import type { PrivacySettings } from '../schemas/privacy-config';
import { base64Runs } from './base64-runs';
import { decodeOnce, type View } from './decoded-view';
import { findCards } from './find/cards';
import { findEmails } from './find/emails';
import { findIbans } from './find/ibans';
import { findIps } from './find/ips';
import { createFindPattern } from './find/patterns';
import { createFindPhones } from './find/phones';
import { findSecrets } from './find/secrets';
import { deniedValues, parseJsonPath } from './json-paths';
import type { BuiltInKind, Finder, Span } from './span';

/** JSON in JSON in JSON is about as deep as agents nest it. */
const MAX_LAYERS = 4;
/** Base64 of text that holds base64. */
const MAX_BASE64_DEPTH = 2;
/** The longest escape but one character: so much of `\u000a` may cling to what stands behind it. */
const ESCAPE_TAIL = 5;

interface Ranked extends Span {
  /** The lower goes before the higher where two overlap. */
  readonly rank: number;
  readonly layer: number;
}

/** @returns what is to be replaced in a text: in order, without overlaps. */
export type FindSpans = (text: string) => readonly Span[];

/**
 * Looks for all kinds in a text, and in what the text says behind escapes and base64. Each layer of escapes is taken off and searched, and
 * what is found is traced back to the text as it stands; so it does not matter whether an address stands in prose, in the arguments of a tool
 * call, in JSON within them or in a URL within that.
 *
 * @throws {InvalidInputError} if one of the patterns is not valid.
 */
export function createFindSpans(settings: PrivacySettings): FindSpans {
  const finders = findersOf(settings);
  const denied = settings.deny.map(parseJsonPath);
  const isKept = createIsKept(settings.keep);

  const searchLayer = (text: string, layer: number, base64Depth: number): Ranked[] => {
    const found: Ranked[] = [];
    for (const [rank, [kind, find]] of finders.entries()) {
      find(text, (start, end, value = text.slice(start, end)) => {
        if (!isKept(value, text.slice(start, end)))
          found.push({ start, end, kind, value, rank, layer });
      });
    }
    if (layer === 0) {
      for (const { start, end, quote } of deniedValues(text, denied)) {
        const value = text.slice(start, end);
        found.push({ start, end, kind: 'denied', value, quote, rank: -2, layer: MAX_LAYERS + 1 });
      }
    }
    if (base64Depth < MAX_BASE64_DEPTH) {
      for (const { start, end, texts, isTooLong } of base64Runs(text)) {
        const inside = isTooLong ? 'unsearched' : kindInside(texts, base64Depth + 1);
        if (inside !== null) {
          found.push({ start, end, kind: inside, value: text.slice(start, end), rank: -1, layer });
        }
      }
    }
    return found;
  };

  const kindInside = (texts: readonly string[], base64Depth: number): string | null => {
    for (const text of texts) {
      const [first] = search(text, base64Depth);
      if (first !== undefined) return first.kind;
    }
    return null;
  };

  const search = (text: string, base64Depth: number): Span[] => {
    const found = searchLayer(text, 0, base64Depth);
    let view: View | { text: string; starts: null } = { text, starts: null };
    for (let layer = 1; layer <= MAX_LAYERS; layer++) {
      const next = decodeOnce(view);
      if (next === null) break;
      view = next;
      const { starts } = next;
      for (const span of searchLayer(next.text, layer, base64Depth)) {
        found.push({
          ...span,
          start: starts[span.start] as number,
          end: starts[span.end] as number,
        });
      }
    }
    return found.length < 2 ? found : merge(found);
  };
  return (text) => (text.length < MIN_LENGTH ? [] : search(text, 0));
}

/** No kind is shorter; a pattern of the configuration may be. */
const MIN_LENGTH = 3;

function findersOf({
  kinds,
  patterns,
  phoneRegions,
}: PrivacySettings): (readonly [string, Finder])[] {
  const builtIn: readonly (readonly [BuiltInKind, Finder])[] = [
    ['secret', findSecrets],
    ['iban', findIbans],
    ['card', findCards],
    ['email', findEmails],
    ['ip', findIps],
    ['phone', createFindPhones(phoneRegions)],
  ];
  return [
    ...patterns.map((pattern) => [pattern.name, createFindPattern(pattern)] as const),
    ...builtIn.filter(([kind]) => kinds[kind]),
  ];
}

function createIsKept(keep: readonly string[]): (value: string, text: string) => boolean {
  if (keep.length === 0) return () => false;
  const values = new Set(keep.map((value) => value.toLowerCase()));
  return (value, text) => {
    const at = value.lastIndexOf('@');
    return (
      values.has(value.toLowerCase()) ||
      values.has(text.toLowerCase()) ||
      (at !== -1 && values.has(`*${value.slice(at).toLowerCase()}`))
    );
  };
}

/**
 * Where two overlap, all that either covers is replaced, as what goes before: what was found behind more escapes, then the better rank. Only
 * the end of an escape that clings to a value on an outer layer (the n of `\nbob@…`) stays where it is.
 */
function merge(found: Ranked[]): Span[] {
  found.sort((a, b) => a.start - b.start || b.end - a.end);
  const merged: Ranked[] = [];
  for (const span of found) {
    const last = merged.at(-1);
    if (last === undefined || span.start >= last.end) {
      merged.push(span);
      continue;
    }
    const isFirst =
      span.layer === last.layer
        ? span.rank < last.rank
        : span.layer > last.layer && span.rank <= last.rank;
    const winner = isFirst ? span : last;
    const clings =
      span.layer > last.layer && span.end >= last.end && span.start - last.start <= ESCAPE_TAIL;
    const start = clings ? span.start : last.start;
    merged[merged.length - 1] = { ...winner, start, end: Math.max(last.end, span.end) };
  }
  return merged;
}
