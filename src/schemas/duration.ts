import { z } from 'zod';

const UNIT_MS = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;
const PATTERN = /^(\d+)(ms|s|m|h|d)$/;

/** A length of time as people write it: `500ms`, `30s`, `15m`, `24h`, `7d`. */
export const Duration = z
  .string()
  .regex(PATTERN, 'expected a number and ms, s, m, h or d, e.g. 30s');

/** @returns milliseconds. Expects what `Duration` accepted. */
export function durationMs(duration: string): number {
  const match = PATTERN.exec(duration);
  if (match === null) throw new RangeError(`not a duration: ${duration}`);
  return Number(match[1]) * UNIT_MS[match[2] as keyof typeof UNIT_MS];
}
