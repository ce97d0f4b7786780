import { z } from 'zod';

const UNIT_MS = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;
const PATTERN = /^(\d+)(ms|s|m|h|d)$/;

/** Ten years. A date beyond the calendar's end would throw in a workflow, which then could never go on. */
const LONGEST_MS = 3_650 * UNIT_MS.d;

/** A length of time as people write it: `500ms`, `30s`, `15m`, `24h`, `7d`. */
export const Duration = z
  .string()
  .regex(PATTERN, 'expected a number and ms, s, m, h or d, e.g. 30s')
  .refine(isShortEnough, 'expected at most 3650d');

/** @returns milliseconds. Expects what `Duration` accepted. */
export function durationMs(duration: string): number {
  const ms = toMs(duration);
  if (Number.isNaN(ms) || ms > LONGEST_MS) throw new RangeError(`not a duration: ${duration}`);
  return ms;
}

/** Also of what is no duration at all: the pattern refuses that. */
function isShortEnough(duration: string): boolean {
  const ms = toMs(duration);
  return Number.isNaN(ms) || ms <= LONGEST_MS;
}

function toMs(duration: string): number {
  const match = PATTERN.exec(duration);
  return match === null ? NaN : Number(match[1]) * UNIT_MS[match[2] as keyof typeof UNIT_MS];
}
