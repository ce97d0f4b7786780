import { setMaxListeners } from 'node:events';

/** One piece of work that goes to whoever pushes back. Its holder leaves exactly once. */
export interface Turn {
  /** The other side takes no more at the moment, and may have said for how long. */
  pushedBack(retryAfterMs?: number): void;
  /** The other side did the work, well or badly: it takes more. */
  served(): void;
  leave(): void;
}

export interface BackPressure {
  /**
   * Waits for its turn; first come, first served.
   *
   * @param onWaiting called with true if there is something to wait for, then with false when there no longer is.
   * @throws the signal's reason once it is aborted.
   */
  enter(signal: AbortSignal, onWaiting?: (isWaiting: boolean) => void): Promise<Turn>;
  /** How much may be under way at once, at the moment. */
  readonly limit: number;
}

export interface BackPressureOptions {
  /** What may be under way at once when nobody pushes back. */
  readonly most: number;
  /** The first pause; doubles with each push back in a row. @default 500 */
  readonly baseMs?: number;
  /** The longest pause that is not asked for. @default 30_000 */
  readonly maxMs?: number;
}

interface Waiter {
  readonly start: (turn: Turn) => void;
}

/**
 * Asks less of a side that pushes back: additive increase, multiplicative decrease (Chiu and Jain 1989), as TCP does, of how
 * much is under way at once, and a pause before any more. What was under way already when the limit fell says nothing new
 * and does not lower it again. A pause doubles from one fall to the next until something is served; where the other side
 * named a time, it is at least that.
 *
 * No jitter: the limit, not chance, keeps what waits from coming back all at once.
 */
export function createBackPressure({
  most,
  baseMs = 500,
  maxMs = 30_000,
}: BackPressureOptions): BackPressure {
  const queue: Waiter[] = [];
  let limit = most; // grows by fractions; its whole part counts
  let running = 0;
  /** Falls of the limit so far, and those since something was served. */
  let falls = 0;
  let inARow = 0;
  let pausedUntilMs = 0; // of performance.now: no clock that can be set
  let timer: NodeJS.Timeout | null = null;

  const isOpen = (): boolean => running < Math.floor(limit) && performance.now() >= pausedUntilMs;

  const begin = (): Turn => {
    running += 1;
    const bornAt = falls;
    let hasLeft = false;
    return {
      pushedBack(retryAfterMs = 0) {
        let pauseMs = retryAfterMs;
        if (bornAt === falls) {
          // Halves what was really under way: a limit that was never reached says nothing.
          limit = Math.max(1, Math.floor(Math.min(limit, running) / 2));
          pauseMs = Math.max(pauseMs, Math.min(maxMs, baseMs * 2 ** Math.min(inARow, 30)));
          falls += 1;
          inARow += 1;
        }
        pausedUntilMs = Math.max(pausedUntilMs, performance.now() + pauseMs);
      },
      served() {
        inARow = 0;
        if (limit < most) limit = Math.min(most, limit + 1 / limit);
      },
      leave() {
        if (hasLeft) return;
        hasLeft = true;
        running -= 1;
        if (queue.length > 0) letIn();
      },
    };
  };

  const letIn = (): void => {
    while (queue.length > 0 && isOpen()) queue.shift()?.start(begin());
    const pauseMs = pausedUntilMs - performance.now();
    if (queue.length === 0 || pauseMs <= 0 || timer !== null) return;
    timer = setTimeout(
      () => {
        timer = null;
        letIn();
      },
      Math.min(Math.ceil(pauseMs), 0x7fff_ffff),
    );
  };

  return {
    get limit() {
      return Math.floor(limit);
    },
    async enter(signal, onWaiting) {
      signal.throwIfAborted();
      if (queue.length === 0 && isOpen()) return begin();
      setMaxListeners(0, signal); // a batch has one signal, however many wait
      onWaiting?.(true);
      try {
        return await new Promise<Turn>((resolve, reject) => {
          const abort = (): void => {
            queue.splice(queue.indexOf(waiter), 1);
            if (queue.length === 0 && timer !== null) {
              clearTimeout(timer);
              timer = null;
            }
            reject(signal.reason as Error);
          };
          const waiter: Waiter = {
            start(turn) {
              signal.removeEventListener('abort', abort);
              resolve(turn);
            },
          };
          signal.addEventListener('abort', abort, { once: true });
          queue.push(waiter);
          letIn();
        });
      } finally {
        onWaiting?.(false);
      }
    },
  };
}
