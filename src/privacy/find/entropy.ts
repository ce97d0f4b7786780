/** What people write where a secret belongs: examples, types, variables. */
const STAND_IN =
  /^(?:(?:your|my|the|an?|example|sample|test|dummy|placeholder|changeme|redacted|hidden|none|null|nil|true|false|undefined|string|number|integer|boolean|required|optional|secret|password|token|env)(?![A-Za-z0-9])|process\.env|os\.environ|x{3,}|\*+|\.{2,}|[<$%#@{])/i;
const VARIABLE = /^[A-Z]+(?:_[A-Z]+)*$/;
const PLAIN_WORD = /^[A-Za-z]+(?:[-_.][A-Za-z]+)*$/;
/** Times, versions, numbers, paths and addresses are long and have digits, too. */
const ORDINARY = /^(?:\d{4}-\d\d-\d\d|v?\d+(?:\.\d+)+|[\d.,_:%-]+$|\.{0,2}\/|https?:)/;

/** Behind a name such as `token:`, whether a value can be one: letters and digits, long, and of many different characters. */
export function looksLikeToken(value: string): boolean {
  if (value.length < 12 || STAND_IN.test(value) || ORDINARY.test(value)) return false;
  return /\d/.test(value) && /[A-Za-z]/.test(value) && bitsPerCharacter(value) >= 2.8;
}

/** Behind a name such as `password:`. People choose short ones and words; in quotes a word is the value and not the sentence's next one. */
export function looksLikePassword(value: string, isQuoted: boolean): boolean {
  if (value.length < 6 || STAND_IN.test(value) || VARIABLE.test(value)) return false;
  if (isQuoted) return true;
  return !PLAIN_WORD.test(value) && /[A-Za-z]/.test(value);
}

/** Shannon's entropy of the value's own characters. */
export function bitsPerCharacter(value: string): number {
  const counts = new Map<string, number>();
  for (const character of value) counts.set(character, (counts.get(character) ?? 0) + 1);
  let bits = 0;
  for (const count of counts.values())
    bits -= (count / value.length) * Math.log2(count / value.length);
  return bits;
}
