import { isAlphanumeric, isDigit, type Finder } from '../span';

/** Beginnings and lengths of the issuers. Source: ISO/IEC 7812 and https://en.wikipedia.org/wiki/Payment_card_number */
const ISSUERS: readonly (readonly [RegExp, ...number[]])[] = [
  [/^4/, 16, 19], // Visa; those of 13 digits are gone, and one in ten European article numbers looks like them
  [/^(?:5[1-5]|222[1-9]|22[3-9]|2[3-6]|27[01]|2720)/, 16], // Mastercard
  [/^3[47]/, 15], // American Express
  [/^(?:6011|65|64[4-9])/, 16, 19], // Discover
  [/^(?:30[0-5]|3095|36|3[89])/, 14, 16, 19], // Diners Club
  [/^35(?:2[89]|[3-8])/, 16, 19], // JCB
  [/^62/, 16, 19], // UnionPay
  [/^(?:5018|5020|5038|5893|6304|6759|676[1-3])/, 12, 13, 14, 15, 16, 19], // Maestro
  [/^220[0-4]/, 16, 19], // Mir
];
const MIN_LENGTH = 12;
const MAX_LENGTH = 19;
const DIGIT_GROUPS = /\d(?:[ \u00a0-]?\d)*/g;
const SEPARATOR = /[ \u00a0-]/;

/**
 * Numbers of payment cards: an issuer's beginning and length, and Luhn's check digit; in groups or in one. Of other numbers that look like
 * this one in ten has the right check digit: nobody can tell those apart.
 */
export const findCards: Finder = (text, add) => {
  DIGIT_GROUPS.lastIndex = 0;
  for (let run = DIGIT_GROUPS.exec(text); run !== null; run = DIGIT_GROUPS.exec(text)) {
    if (run[0].length < MIN_LENGTH) continue;
    const groups = groupsOf(run[0], run.index);
    for (let first = 0; first < groups.length; first++) {
      const found = cardAt(text, groups, first);
      if (found === null) continue;
      add(found.start, found.end, found.digits);
      while (first + 1 < groups.length && (groups[first + 1] as Group).start < found.end) first++;
    }
  }
};

interface Group {
  readonly digits: string;
  readonly start: number;
}

function groupsOf(run: string, offset: number): Group[] {
  const groups: Group[] = [];
  for (let at = 0; at < run.length;) {
    let end = at;
    while (end < run.length && !SEPARATOR.test(run.charAt(end))) end++;
    groups.push({ digits: run.slice(at, end), start: offset + at });
    at = end + 1;
  }
  return groups;
}

function cardAt(
  text: string,
  groups: readonly Group[],
  first: number,
): { readonly start: number; readonly end: number; readonly digits: string } | null {
  let digits = '';
  let found: { start: number; end: number; digits: string } | null = null;
  const start = (groups[first] as Group).start;
  if ((groups[first] as Group).digits.length < 4) return null; // no issuer prints fewer
  for (let last = first; last < groups.length && digits.length < MAX_LENGTH; last++) {
    const group = groups[last] as Group;
    digits += group.digits;
    if (digits.length > MAX_LENGTH) break;
    const end = group.start + group.digits.length;
    if (isCard(digits) && isAlone(text, start, end)) found = { start, end, digits }; // the longest
  }
  return found;
}

function isCard(digits: string): boolean {
  return (
    digits.length >= MIN_LENGTH &&
    ISSUERS.some(
      ([begins, ...lengths]) => lengths.includes(digits.length) && begins.test(digits),
    ) &&
    hasLuhnDigit(digits)
  );
}

/** ISO/IEC 7812-1, annex B. */
export function hasLuhnDigit(digits: string): boolean {
  let sum = 0;
  for (let i = 0; i < digits.length; i++) {
    const digit = digits.charCodeAt(digits.length - 1 - i) - 48;
    const doubled = i % 2 === 1 ? digit * 2 : digit;
    sum += doubled > 9 ? doubled - 9 : doubled;
  }
  return sum % 10 === 0;
}

/** Not part of a word, a hash or a number with a fraction. */
function isAlone(text: string, start: number, end: number): boolean {
  const [before, after] = [text.charCodeAt(start - 1), text.charCodeAt(end)];
  if (isAlphanumeric(before) || isAlphanumeric(after)) return false;
  const isPoint = (code: number): boolean => code === 46 || code === 44;
  return !(
    (isPoint(before) && isDigit(text.charCodeAt(start - 2))) ||
    (isPoint(after) && isDigit(text.charCodeAt(end + 1)))
  );
}
