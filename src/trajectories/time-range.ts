import { InvalidInputError } from '../errors';

/** From `fromMs` on and before `toMs`, in milliseconds since 1970. */
export interface TimeRange {
  readonly fromMs: number;
  readonly toMs: number;
}

export const HOUR_MS = 3_600_000;

/** @throws {InvalidInputError} if it ends before it begins, or is no time. */
export function assertTimeRange({ fromMs, toMs }: TimeRange): void {
  if (fromMs <= toMs && Number.isFinite(fromMs) && Number.isFinite(toMs)) return;
  throw new InvalidInputError('a range of time: expected a beginning that is not after its end', {
    context: { fromMs, toMs },
  });
}

export function isWithin(at: string, { fromMs, toMs }: TimeRange): boolean {
  const ms = Date.parse(at);
  return ms >= fromMs && ms < toMs;
}

/** @returns `YYYY-MM-DD`, UTC. */
export function dayOf(ms: number): string {
  return new Date(ms).toISOString().slice(0, 10);
}

/** @returns 0 to 23, UTC. */
export function hourOf(ms: number): number {
  return new Date(ms).getUTCHours();
}
