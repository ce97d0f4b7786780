/**
 * How a process that was told to stop asks its long work to come to a good end: what is done is kept, and another process
 * goes on from there. Both signals have the same reason; work that gives way throws it.
 */
export interface HandOver {
  /** Aborted when the process is told to stop: begin nothing new, and give away what can be given at once. */
  readonly begun: AbortSignal;
  /** Aborted a while later: stop what still runs; what it has done since is lost. */
  readonly due: AbortSignal;
}

/** Of a process that is never told to stop. */
export function noHandOver(): HandOver {
  return { begun: new AbortController().signal, due: new AbortController().signal };
}
