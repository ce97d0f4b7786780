import { activityInfo, Context } from '@temporalio/activity';
import type { z } from 'zod';

/** How often an activity says that it lives; well under the heartbeat time-out of src/loop/retries.ts. */
const EVERY_MS = 1_000;

export interface Heartbeat<T> {
  /** What the next beat says. */
  set(details: T): void;
  stop(): void;
}

/** Activities that beat already, and what they say. */
const beating = new WeakMap<Context, { details: unknown }>();

/**
 * Beats while `run` runs, with what the last attempt said until `startHeartbeat` has something newer: an attempt that dies
 * before it knows anything must not lose what the one before it knew.
 */
export async function whileBeating<T>(run: () => Promise<T>): Promise<T> {
  const context = Context.current();
  const beat: { details: unknown } = { details: activityInfo().heartbeatDetails };
  beating.set(context, beat);
  const timer = setInterval(() => context.heartbeat(beat.details), EVERY_MS);
  try {
    return await run();
  } finally {
    clearInterval(timer);
    beating.delete(context);
  }
}

/**
 * Beats until stopped, whatever the activity waits for: the server takes a silent activity for dead and starts it
 * again elsewhere. Cancellation reaches us with the answer to a beat, on `Context.current().cancellationSignal`.
 */
export function startHeartbeat<T>(first: T): Heartbeat<T> {
  const context = Context.current();
  const outer = beating.get(context);
  const own = outer ?? { details: first as unknown };
  own.details = first;
  const beat = (): void => context.heartbeat(own.details);
  beat();
  const timer = outer === undefined ? setInterval(beat, EVERY_MS) : null;
  return {
    set: (next) => void (own.details = next),
    stop() {
      if (timer !== null) clearInterval(timer);
      beat();
    },
  };
}

/** What the last attempt of this activity said, or null: no attempt before, or details of another version. */
export function resumeDetails<S extends z.ZodType>(schema: S): z.output<S> | null {
  const parsed = schema.safeParse(activityInfo().heartbeatDetails);
  return parsed.success ? parsed.data : null;
}

/** When this activity was scheduled, by the server's clock: the same for all of its attempts. */
export function scheduledAt(): string {
  return new Date(activityInfo().scheduledTimestampMs).toISOString();
}

/** Unique to this attempt of this activity: what it writes is nobody else's, and counts only if its result is recorded. */
export function attemptName(nonce: string): string {
  const { activityId, attempt } = activityInfo();
  return `${activityId}-${attempt}-${nonce}`;
}
