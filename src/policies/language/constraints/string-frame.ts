import type { Frame, Stack } from './machine';

/** How long a string may be, in characters. */
export interface StringLimits {
  readonly minLength: number;
  readonly maxLength: number;
}

/** Between the quotes: what the next byte has to be. */
type Mode =
  | { readonly type: 'plain' }
  /** Bytes that a character still needs; the next one lies in this range. */
  | { readonly type: 'tail'; readonly left: number; readonly low: number; readonly high: number }
  | { readonly type: 'escape' }
  /**
   * Hexadecimal digits that \\u still needs. `surrogate` says what they may come to: one by itself is no character, so a high one has
   * to be followed by a low one.
   */
  | { readonly type: 'hex'; readonly left: number; readonly surrogate: Surrogate }
  /** What stands between a high and its low surrogate. */
  | { readonly type: 'pair'; readonly expected: '\\' | 'u' };
type Surrogate = 'unknown' | 'maybe' | 'none' | 'high' | 'low' | 'low-next';

const PLAIN: Mode = { type: 'plain' };
const ESCAPED = new Set(Buffer.from('"\\/bfnrt'));

/** The rest of a JSON string (RFC 8259) behind its first quote, in valid UTF-8 (RFC 3629, table in section 4). */
export function stringFrame(limits: StringLimits, count = 0, mode: Mode = PLAIN): Frame {
  const { minLength, maxLength } = limits;
  // Beyond the minimum nobody counts where there is no maximum: one state for all of a long text.
  const counted = Math.min(count, maxLength === Infinity ? minLength : maxLength);
  const to = (next: Mode, more = 0): Frame => stringFrame(limits, counted + more, next);
  const hasRoom = counted < maxLength;
  return {
    key: `s${minLength},${maxLength},${counted}${keyOf(mode)}`,
    canEnd: false,
    step(byte, below): readonly Stack[] {
      const next = stepMode(mode, byte, counted >= minLength, hasRoom);
      if (next === null) return [];
      if (next === 'end') return [below];
      return [{ frame: to(next, next.type === 'plain' ? 1 : 0), below }];
    },
  };
}

function stepMode(
  mode: Mode,
  byte: number,
  mayEnd: boolean,
  hasRoom: boolean,
): Mode | 'end' | null {
  switch (mode.type) {
    case 'plain':
      if (byte === 0x22) return mayEnd ? 'end' : null;
      if (!hasRoom || byte < 0x20) return null;
      if (byte === 0x5c) return { type: 'escape' };
      return byte < 0x80 ? PLAIN : leadByte(byte);
    case 'tail': {
      const { left, low, high } = mode;
      if (byte < low || byte > high) return null;
      return left === 1 ? PLAIN : { type: 'tail', left: left - 1, low: 0x80, high: 0xbf };
    }
    case 'escape':
      if (byte === 0x75) return { type: 'hex', left: 4, surrogate: 'unknown' };
      return ESCAPED.has(byte) ? PLAIN : null;
    case 'hex':
      return stepHex(mode.left, mode.surrogate, byte);
    case 'pair':
      if (mode.expected === '\\') return byte === 0x5c ? { type: 'pair', expected: 'u' } : null;
      return byte === 0x75 ? { type: 'hex', left: 4, surrogate: 'low-next' } : null;
  }
}

function leadByte(byte: number): Mode | null {
  const tail = (left: number, low = 0x80, high = 0xbf): Mode => ({ type: 'tail', left, low, high });
  if (byte >= 0xc2 && byte <= 0xdf) return tail(1);
  if (byte === 0xe0) return tail(2, 0xa0);
  if (byte === 0xed) return tail(2, 0x80, 0x9f); // no surrogates
  if (byte >= 0xe1 && byte <= 0xef) return tail(2);
  if (byte === 0xf0) return tail(3, 0x90);
  if (byte >= 0xf1 && byte <= 0xf3) return tail(3);
  return byte === 0xf4 ? tail(3, 0x80, 0x8f) : null;
}

function stepHex(left: number, surrogate: Surrogate, byte: number): Mode | null {
  const digit = hexDigit(byte);
  if (digit < 0) return null;
  const next = (kind: Surrogate): Mode => ({ type: 'hex', left: left - 1, surrogate: kind });
  // d800 … dbff are high, dc00 … dfff low: the first two digits tell.
  if (left === 4) {
    if (surrogate === 'low-next') return digit === 13 ? next('low') : null;
    return next(digit === 13 ? 'maybe' : 'none');
  }
  if (left === 3 && surrogate === 'low') return digit >= 12 ? next('none') : null;
  if (left === 3 && surrogate === 'maybe') {
    if (digit >= 12) return null; // a low one without its high one
    return next(digit >= 8 ? 'high' : 'none');
  }
  if (left > 1) return next(surrogate);
  return surrogate === 'high' ? { type: 'pair', expected: '\\' } : PLAIN;
}

function hexDigit(byte: number): number {
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30;
  const lower = byte | 0x20;
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x61 + 10 : -1;
}

function keyOf(mode: Mode): string {
  switch (mode.type) {
    case 'plain':
      return '';
    case 'tail':
      return `t${mode.left},${mode.low},${mode.high}`;
    case 'escape':
      return 'e';
    case 'hex':
      return `h${mode.left}${mode.surrogate}`;
    case 'pair':
      return `p${mode.expected}`;
  }
}
