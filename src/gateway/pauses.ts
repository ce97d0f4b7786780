import { describeError } from '../errors';
import type { Pause, PausedKind } from '../schemas/pause';
import { readPauses } from '../storage/pauses';
import type { ObjectStore } from '../storage/object-store';
import { RequestError } from './http/request-error';

/** What is paused, at most a few seconds old. */
export interface Pauses {
  find(kind: PausedKind, name: string): Pause | undefined;
}

export const NO_PAUSES: Pauses = { find: () => undefined };

export interface PausesReaderOptions {
  /** @default 2000 */
  readonly pollMs?: number;
  /** Milliseconds since 1970. */
  readonly now?: () => number;
  /** Told when the pauses cannot be read, and again after they could. */
  readonly onError: (error: string) => void;
}

/**
 * Reads pauses from the store beside the calls: none of them waits for it. Where it cannot be read, what was read last goes on to hold.
 *
 * @returns once they were read, or could not be.
 */
export async function openPauses(
  store: ObjectStore,
  { pollMs = 2_000, now = Date.now, onError }: PausesReaderOptions,
): Promise<Pauses> {
  let paused: ReadonlyMap<string, Pause> = new Map();
  let readAt = -Infinity;
  let isReading = false;
  let isBroken = false;

  const refresh = async (): Promise<void> => {
    isReading = true;
    try {
      const all = await readPauses(store);
      paused = new Map(all.map((pause) => [`${pause.kind}/${pause.name}`, pause]));
      isBroken = false;
    } catch (error) {
      if (!isBroken) onError(describeError(error));
      isBroken = true;
    } finally {
      isReading = false;
      readAt = now();
    }
  };
  await refresh();
  return {
    find(kind, name) {
      if (!isReading && now() - readAt >= pollMs) void refresh(); // rejects for nothing
      return paused.get(`${kind}/${name}`);
    },
  };
}

/** Nobody knows when it is over; a minute keeps clients from asking all the time. */
const RETRY_AFTER_MS = 60_000;

/** @throws {RequestError} 503 with the reason, if it is paused. */
export function assertNotPaused(pauses: Pauses, kind: PausedKind, name: string): void {
  const pause = pauses.find(kind, name);
  if (pause !== undefined) throw isPaused(pause);
}

export function isPaused({ kind, name, reason }: Pause): RequestError {
  return new RequestError(
    `the ${kind} ${JSON.stringify(name)} is paused${reason === '' ? '' : `: ${reason}`}`,
    {
      ...{ status: 503, type: 'server_error', reason: `${kind}_paused` },
      retryAfterMs: RETRY_AFTER_MS,
    },
  );
}
