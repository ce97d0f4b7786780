import { isAlphanumeric, isDigit, isLetter, type Finder } from '../span';

const [DOT, DASH, PLUS, UNDERSCORE, APOSTROPHE] = [46, 45, 43, 95, 39];
/** RFC 5321 §4.5.3.1. */
const MAX_LOCAL = 64;
const MAX_DOMAIN = 255;
/** What stands behind the last dot of file names such as `icon@2x.png`. */
const FILE_ENDINGS =
  /\.(?:png|jpe?g|gif|svg|webp|ico|css|js|mjs|cjs|ts|tsx|jsx|json|html?|md|txt|ya?ml|lock)$/i;
/** `react@18.2.0-beta.next` */
const VERSION = /^v?\d+\.\d+[.-]/;

/** Addresses as people write them: no quoted local parts, no addresses without a dot. Letters of any script. */
export const findEmails: Finder = (text, add) => {
  for (let at = text.indexOf('@'); at !== -1; at = text.indexOf('@', at + 1)) {
    let start = at;
    const first = Math.max(0, at - MAX_LOCAL);
    while (start > first && isLocal(text.charCodeAt(start - 1))) start--;
    while (start < at && !isEdge(text.charCodeAt(start))) start++;
    if (start === at || isUserInfo(text, at)) continue;
    const end = domainEnd(text, at + 1);
    if (end === -1) continue;
    const domain = text.slice(at + 1, end);
    if (FILE_ENDINGS.test(domain) || VERSION.test(domain)) continue;
    if (text.charAt(end) === ':' && text.slice(start, at) === 'git') continue; // git@github.com:owner/name
    add(start, end, text.slice(start, end).toLowerCase());
  }
};

/** `postgres://user:password@host`: what stands there is found as a password, and the host is no address. */
function isUserInfo(text: string, at: number): boolean {
  const before = text.slice(Math.max(0, at - MAX_DOMAIN), at);
  const scheme = before.lastIndexOf('://');
  return scheme !== -1 && /^[^\s/]+:[^\s/]+$/.test(before.slice(scheme + 3));
}

/** @returns where the domain that begins at `start` ends; -1 if none does. */
function domainEnd(text: string, start: number): number {
  let end = start;
  const last = Math.min(text.length, start + MAX_DOMAIN);
  while (end < last && isDomain(text.charCodeAt(end))) end++;
  // The last label is of letters: `bob@example.com.` and `bob@example.com-2` end before what follows.
  for (;;) {
    while (end > start && !isAnyLetter(text.charCodeAt(end - 1))) end--;
    const dot = text.lastIndexOf('.', end - 1);
    if (dot <= start) return -1;
    let label = dot + 1;
    while (label < end && isAnyLetter(text.charCodeAt(label))) label++;
    const isPunycode = text.startsWith('xn--', dot + 1);
    if ((label === end || isPunycode) && end - dot > 2) return end;
    end = label === end || label === dot + 1 ? dot : label;
  }
}

function isLocal(code: number): boolean {
  return isEdge(code) || code === DOT || code === DASH || code === PLUS || code === APOSTROPHE;
}

function isEdge(code: number): boolean {
  return isAlphanumeric(code) || code === UNDERSCORE || code >= 0xc0;
}

function isDomain(code: number): boolean {
  return isAnyLetter(code) || isDigit(code) || code === DOT || code === DASH;
}

function isAnyLetter(code: number): boolean {
  return isLetter(code) || (code >= 0xc0 && code < 0x2000);
}
