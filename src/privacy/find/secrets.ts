import { isAlphanumeric, type Finder } from '../span';
import { looksLikePassword, looksLikeToken } from './entropy';

/** Keys that say by their beginning what they are: OpenAI, Anthropic, Stripe, GitHub, GitLab, Slack, AWS, Google, npm, Hugging Face, … */
const KNOWN = new RegExp(
  '(?:' +
    [
      'rks-[\\w-]{16,}\\.[\\w-]{16,}', // a session token of ours
      'rk-[a-z0-9]{12}-[\\w-]{43}', // an API key of ours
      'sk-[\\w-]{16,}',
      '(?:sk|rk|pk)_(?:live|test)_[A-Za-z0-9]{10,}',
      'whsec_[A-Za-z0-9]{16,}',
      'gh[pousr]_[A-Za-z0-9]{20,}',
      'github_pat_\\w{20,}',
      'gl(?:pat|dt|rt)-[\\w-]{16,}',
      'xox[abposr]-[A-Za-z0-9-]{10,}',
      'xapp-[A-Za-z0-9-]{10,}',
      'https://hooks\\.slack\\.com/services/[\\w/]{16,}',
      '(?:AKIA|ASIA|AROA|AIDA)[A-Z2-7]{16}(?![A-Za-z0-9])',
      'AIza[\\w-]{30,}',
      'ya29\\.[\\w-]{20,}',
      'GOCSPX-[\\w-]{20,}',
      'npm_[A-Za-z0-9]{30,}',
      'pypi-[\\w-]{30,}',
      'hf_[A-Za-z0-9]{30,}',
      'dop_v1_[a-f0-9]{40,}',
      'shp(?:at|ss|ca|pa)_[a-fA-F0-9]{32}',
      'SG\\.[\\w-]{16,}\\.[\\w-]{16,}',
      'key-[0-9a-f]{32}(?![A-Za-z0-9])',
      '\\d{8,10}:AA[\\w-]{32,}', // Telegram
      'eyJ[\\w-]{8,}\\.[\\w-]{8,}(?:\\.[\\w-]*){0,3}', // JWT, RFC 7519
      'AGE-SECRET-KEY-1[A-Z0-9]{50,}',
    ].join('|') +
    ')',
  'g',
);
/** Of these a word alone is none: `sk-learn-style-estimators`. */
const NEEDS_DIGIT = /^(?:sk-|xox|xapp|pypi)/;

const PEM_BEGINS = '-----BEGIN ';
const PEM_HEAD = /-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----/y;
const PEM_TAIL = /-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----/;
const PEM_LINE = /(?:\s|\\[nr]){0,4}[A-Za-z0-9+/=]{16,}/y;

/** A value behind a name that says it is secret. Quotes and their escapes around both. */
const NAMED =
  /(api[_-]?key|secret|token|pass(?:word|wd|phrase)|pwd|access[_-]?key|private[_-]?key|credentials?|authorization|signature)(["'\\]{0,4}[ \t]{0,3}(?:[:=]|=>|:=)[ \t]{0,3}["'\\]{0,4})([^\s"'\\,;&<>(){}[\]]{4,1024})/gi;
const SCHEME = /\b(?:Bearer|Basic)[ \t]+([\w.~+/=-]{12,2048})/gi;
/** `https://user:password@host` */
const IN_URL = /:\/\/[^\s:@/"'\\]{1,100}:([^\s@/"'\\]{3,200})@/g;

/** API keys, tokens, private keys, passwords: by their own form, or by the name before them. A random string alone is none: so are hashes and ids. */
export const findSecrets: Finder = (text, add) => {
  findPems(text, add);
  KNOWN.lastIndex = 0;
  for (let match = KNOWN.exec(text); match !== null; match = KNOWN.exec(text)) {
    if (isAlphanumeric(text.charCodeAt(match.index - 1))) {
      KNOWN.lastIndex = match.index + 1; // in a word; within it one may begin
      continue;
    }
    const key = match[0].replace(/[-_.]+$/, '');
    if (NEEDS_DIGIT.test(key) && !/\d/.test(key)) continue;
    add(match.index, match.index + key.length, key);
  }
  if (text.includes('://')) {
    IN_URL.lastIndex = 0;
    for (let match = IN_URL.exec(text); match !== null; match = IN_URL.exec(text)) {
      const [whole, password = ''] = match;
      if (/^\[secret:[a-p]{16}\]$/.test(password)) continue; // ours
      const end = match.index + whole.length - 1;
      add(end - password.length, end, password);
    }
  }
  NAMED.lastIndex = 0;
  for (let match = NAMED.exec(text); match !== null; match = NAMED.exec(text)) {
    const [whole, name = '', between = '', raw = ''] = match;
    const start = match.index + whole.length - raw.length;
    NAMED.lastIndex = start; // a value may be a name: `"token": "api_key=…"`
    const value = raw.replace(/[.?:`*]+$/, '');
    const isQuoted = /["']$/.test(between);
    const isSecret = /^pass|^pwd/i.test(name)
      ? looksLikePassword(value, isQuoted)
      : looksLikeToken(value);
    if (isSecret) add(start, start + value.length, value);
  }
  SCHEME.lastIndex = 0;
  for (let match = SCHEME.exec(text); match !== null; match = SCHEME.exec(text)) {
    const [whole, raw = ''] = match;
    const value = raw.replace(/\.+$/, '');
    const start = match.index + whole.length - raw.length;
    if (/\d/.test(value)) add(start, start + value.length, value);
  }
};

/** Longer keys than this are none. */
const MAX_PEM = 16_384;

/** From its first line to its last. Where the last is missing, as far as it can be a key: a text that was cut off holds most of one. */
const findPems: Finder = (text, add) => {
  for (let at = text.indexOf(PEM_BEGINS); at !== -1; at = text.indexOf(PEM_BEGINS, at + 1)) {
    PEM_HEAD.lastIndex = at;
    if (!PEM_HEAD.test(text)) continue;
    const bodyStart = PEM_HEAD.lastIndex;
    const tail = PEM_TAIL.exec(text.slice(bodyStart, bodyStart + MAX_PEM));
    let end = bodyStart;
    if (tail !== null) {
      end += tail.index + tail[0].length;
    } else {
      PEM_LINE.lastIndex = bodyStart;
      while (PEM_LINE.test(text)) end = PEM_LINE.lastIndex;
    }
    add(at, end, text.slice(at, end).replace(/\\[nr]|\s+/g, ''));
    at = end - 1;
  }
};
