import type { NumberRange } from './json-schema';
import type { Frame, Stack } from './machine';

/** What a number is that keeps within these digits: enough for every integer and nearly every double, and no number without end. */
const INTEGER_DIGITS = 15;
const FRACTION_DIGITS = 15;
const EXPONENT_DIGITS = 2;

export interface NumberShape extends NumberRange {
  readonly isInteger: boolean;
}

/** -?(0|[1-9][0-9]*)(.[0-9]+)?([eE][+-]?[0-9]+)?, RFC 8259; without an exponent where there is a range. */
const WHOLE = /^-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?$/;
const BEGUN = /^-?(?:(?:0|[1-9]\d*)(?:\.\d*)?(?:(?<=\d)[eE][+-]?\d*)?)?$/;

/** A number that was begun; the text is its state. Only texts that can still become a number of the shape are states. */
export function numberFrame(shape: NumberShape, text = ''): Frame {
  return {
    key: `n${shape.isInteger ? 'i' : 'f'}${shape.minimum},${shape.maximum},${shape.isAboveMinimum},${shape.isBelowMaximum}:${stateOf(shape, text)}`,
    canEnd: WHOLE.test(text) && isWithin(shape, Number(text)),
    step(byte, below): readonly Stack[] {
      const next = text + String.fromCharCode(byte);
      return canBecome(shape, next) ? [{ frame: numberFrame(shape, next), below }] : [];
    },
  };
}

/** Without a range only the form counts, not the digits: fewer states, so that what is known of one serves for all. */
function stateOf(shape: NumberShape, text: string): string {
  return hasRange(shape) ? text : text.replace(/[1-9]/g, '1');
}

function hasRange({ minimum, maximum }: NumberRange): boolean {
  return minimum > -Infinity || maximum < Infinity;
}

function canBecome(shape: NumberShape, text: string): boolean {
  if (!BEGUN.test(text)) return false;
  const [, , whole = '', fraction, exponent] =
    /^(-?)(\d*)(?:\.(\d*))?(?:[eE][+-]?(\d*))?$/.exec(text) ?? [];
  if (shape.isInteger && (fraction !== undefined || exponent !== undefined)) return false;
  if (whole.length > INTEGER_DIGITS || (fraction ?? '').length > FRACTION_DIGITS) return false;
  if ((exponent ?? '').length > EXPONENT_DIGITS) return false;
  if (!hasRange(shape)) return true;
  return exponent === undefined && meetsRange(shape, text, whole, fraction);
}

/** Whether any way to go on lies in the range. */
function meetsRange(
  shape: NumberShape,
  text: string,
  whole: string,
  fraction: string | undefined,
): boolean {
  const isNegative = text.startsWith('-');
  const meets = (low: number, high: number): boolean => {
    // Digits only move away from 0, and never reach the far end.
    return isNegative ? holdsOne(shape, -high, -low, -low) : holdsOne(shape, low, high, low);
  };
  if (whole === '') return meets(0, 10 ** INTEGER_DIGITS);
  const size = Number(whole);
  if (fraction !== undefined) {
    const step = 10 ** -fraction.length;
    const value = Number(`${whole}.${fraction}0`);
    return fraction.length === FRACTION_DIGITS
      ? isWithin(shape, isNegative ? -value : value)
      : meets(value, value + step);
  }
  const most = whole === '0' ? 0 : INTEGER_DIGITS - whole.length;
  for (let digits = 0; digits <= most; digits++) {
    const low = size * 10 ** digits;
    const width = 10 ** digits - (shape.isInteger ? 1 : 0);
    if (meets(low, low + width)) return true;
  }
  return false;
}

/** Whether there is a number of the shape between the ends, of which only `near` itself can be written, and in the range. */
function holdsOne(shape: NumberShape, from: number, to: number, near: number): boolean {
  const low = Math.max(from, shape.minimum);
  const high = Math.min(to, shape.maximum);
  if (!shape.isInteger) return low < high || (low === high && low === near && isWithin(shape, low));
  let first = Math.ceil(low);
  if (first === shape.minimum && shape.isAboveMinimum) first += 1;
  let last = Math.floor(high);
  if (last === shape.maximum && shape.isBelowMaximum) last -= 1;
  return first <= last;
}

function isWithin(shape: NumberShape, value: number): boolean {
  const { minimum, maximum, isAboveMinimum, isBelowMaximum } = shape;
  return (
    (isAboveMinimum ? value > minimum : value >= minimum) &&
    (isBelowMaximum ? value < maximum : value <= maximum)
  );
}
