import { parsePhoneNumberFromString, type CountryCode } from 'libphonenumber-js/max';
import { isAlphanumeric, type Finder } from '../span';

const CANDIDATE = /(?:\+ ?)?\(?\d[\d ().\u00a0/-]{5,22}\d/g;
/** What says that a number without a plus is a telephone's. */
const PHONE_BEFORE =
  /(?:phone|tel|telefon|telephone|mobile|mobil|cell|call|fax|whatsapp|sms|dial|handy|reach (?:me|us) (?:at|on))[^\w+]{0,5}(?:\w{1,8}[^\w+]{1,4}){0,2}$/i;
const NORTH_AMERICAN = /^(?:1[ .-])?(?:\(\d{3}\) ?|\d{3}[ .-])\d{3}[ .-]\d{4}$/;
const DATE = /^(?:\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.]\d{4})\b/;
/** Beyond so many in one text, what has a plus is taken for a number and the rest is left: parsing one takes 5 to 20 µs. */
const MAX_PARSED = 500;

/**
 * Telephone numbers that exist, by libphonenumber's rules: with a country code, wherever they stand; without one if they are written in
 * groups as in one of `regions`, or if the words before them say so.
 */
export function createFindPhones(regions: readonly string[]): Finder {
  return (text, add) => {
    let parsed = 0;
    CANDIDATE.lastIndex = 0;
    for (let match = CANDIDATE.exec(text); match !== null; match = CANDIDATE.exec(text)) {
      const start = match.index;
      const digits = countDigits(match[0]);
      const isInternational = match[0].startsWith('+') || /^\(?00[1-9]/.test(match[0]);
      if (digits < 7 || (!isInternational && !isPlain(text, start, match[0]))) continue;
      if (isAlphanumeric(text.charCodeAt(start - 1)) && !match[0].startsWith('+')) continue;
      if (parsed >= MAX_PARSED) {
        if (isInternational) add(start, start + match[0].length);
        continue;
      }
      // Another number may follow: the longest beginning that is one, cut between groups.
      for (let candidate = match[0]; candidate !== ''; candidate = withoutLastGroup(candidate)) {
        if (countDigits(candidate) < 7) break;
        const end = start + candidate.length;
        if (isAlphanumeric(text.charCodeAt(end))) continue;
        parsed++;
        const number = isInternational
          ? international(candidate)
          : national(candidate, regions, () => text.slice(Math.max(0, start - 40), start));
        if (number === null) continue;
        add(start, end, number);
        CANDIDATE.lastIndex = end;
        break;
      }
    }
  };
}

function international(candidate: string): string | null {
  const number = parsePhoneNumberFromString(candidate.replace(/^\(?00/, '+').replace(/^\+ /, '+'));
  return number?.isValid() === true ? number.number : null;
}

function national(
  candidate: string,
  regions: readonly string[],
  before: () => string,
): string | null {
  const isSaid = PHONE_BEFORE.test(before());
  const isGrouped = /[ .()/\u00a0-]/.test(candidate);
  for (const region of regions) {
    const isWritten =
      region === 'US' || region === 'CA'
        ? NORTH_AMERICAN.test(candidate)
        : isGrouped && /^\(?0[1-9]/.test(candidate);
    if (!isWritten && !isSaid) continue;
    const number = parsePhoneNumberFromString(candidate, region as CountryCode);
    if (number?.isValid() === true) return number.number;
  }
  return null;
}

/** Not a piece of a longer name or number, a date, or an amount. */
function isPlain(text: string, start: number, candidate: string): boolean {
  if (DATE.test(candidate)) return false;
  const before = text.charAt(start - 1);
  return before === '' || !/[\w.,#/$€£-]/.test(before);
}

function withoutLastGroup(candidate: string): string {
  return /^(.*\d)[^\d]+\d+$/s.exec(candidate)?.[1] ?? '';
}

function countDigits(text: string): number {
  let count = 0;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code >= 48 && code <= 57) count++;
  }
  return count;
}
