import { isIPv6 } from 'node:net';
import { isAlphanumeric, isDigit, type Finder } from '../span';

const V4 = /\d{1,3}(?:\.\d{1,3}){3}(?![\w]|\.\d)/g;
const [DOT, COLON] = [46, 58];
/** Of an IPv6 address with an IPv4 one at its end. */
const MAX_V6 = 45;
/** Four numbers behind one of these are a version. */
const VERSION_BEFORE =
  /(?:\bv|\bver(?:sion)?s?\b.{0,3}|\brelease\b.{0,2}|\bbuild\b.{0,2}|[@^~]|[=~<>]=|§|\bsection |\bchapter )$/i;
const ADDRESS_BEFORE =
  /\b(?:ip|ipv4|addr|address|host|server|client|from|via|peer|remote)\b.{0,4}$/i;
/** IPv4 and IPv6 addresses but for those that are everybody's: unspecified, loopback, broadcast. Versions of four numbers are left alone. */
export const findIps: Finder = (text, add) => {
  V4.lastIndex = 0;
  for (let match = V4.exec(text); match !== null; match = V4.exec(text)) {
    const before = text.charCodeAt(match.index - 1);
    if (isAlphanumeric(before) || before === DOT) continue;
    if (isPersonalV4(match[0], text.slice(Math.max(0, match.index - 24), match.index))) {
      add(match.index, match.index + match[0].length, match[0]);
    }
  }
  findV6(text, add);
};

/** Around two colons that are at most four digits apart. */
const findV6: Finder = (text, add) => {
  for (let at = text.indexOf(':'); at !== -1; at = text.indexOf(':', at + 1)) {
    const next = text.indexOf(':', at + 1);
    if (next === -1) return;
    if (next - at > 5) {
      at = next - 1;
      continue;
    }
    let [start, end] = [at, next + 1];
    while (start > 0 && at - start < 5 && isHex(text.charCodeAt(start - 1))) start--;
    while (end < text.length && end - start < MAX_V6 && isOfV6(text.charCodeAt(end))) end++;
    while (end > next && text.charCodeAt(end - 1) === DOT) end--; // of the sentence
    const [before, after] = [text.charCodeAt(start - 1), text.charCodeAt(end)];
    const address = text.slice(start, end);
    if (
      before !== COLON &&
      !isAlphanumeric(before) &&
      !isAlphanumeric(after) &&
      isPersonalV6(address)
    ) {
      add(start, end, address.toLowerCase());
    }
    at = end - 1;
  }
};

function isHex(code: number): boolean {
  const lower = code | 32;
  return isDigit(code) || (lower >= 97 && lower <= 102);
}

function isOfV6(code: number): boolean {
  return isHex(code) || code === COLON || code === DOT;
}

function isPersonalV4(address: string, before: string): boolean {
  const parts = address.split('.');
  const numbers = parts.map(Number);
  if (numbers.some((n) => n > 255) || parts.some((part) => part.length > 1 && part.startsWith('0')))
    return false;
  if (VERSION_BEFORE.test(before)) return false;
  const [first = 0] = numbers;
  if (first === 0 || first === 127 || numbers.every((n) => n === 255)) return false;
  // 1.2.3.4 and 10.0.4.12 are more often versions and headings; among addresses, one in 20,000 is like this.
  return numbers.some((n) => n > 20) || ADDRESS_BEFORE.test(before);
}

/** Short ones such as `a::b` are mostly code. */
function isPersonalV6(address: string): boolean {
  return /^[0-9a-f]{3,4}:/i.test(address) && /\d/.test(address) && isIPv6(address);
}
