import { activityInfo, Context } from '@temporalio/activity';
import type { z } from 'zod';

/** How often a long activity says that it lives; well under the shortest heartbeat time-out (15 s). */
const EVERY_MS = 1_000;

export interface Heartbeat<T> {
  /** What the next beat says. */
  set(details: T): void;
  stop(): void;
}

/**
 * Beats until stopped, whatever the activity waits for: the server takes a silent activity for dead and starts it
 * again elsewhere. Cancellation reaches us with the answer to a beat, on `Context.current().cancellationSignal`.
 */
export function startHeartbeat<T>(first: T): Heartbeat<T> {
  const context = Context.current();
  let details = first;
  const beat = (): void => context.heartbeat(details);
  beat();
  const timer = setInterval(beat, EVERY_MS);
  return {
    set: (next) => void (details = next),
    stop() {
      clearInterval(timer);
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
