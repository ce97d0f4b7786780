import type { Metric } from './metrics/prometheus-text';

/** What the processes that share a gateway's port say together. */
export interface FleetReport {
  readonly metrics: readonly Metric[];
  /** null where there is one process only. */
  readonly processes: {
    readonly running: number;
    readonly expected: number;
    /** Until all of them have served at once. */
    readonly isStarting: boolean;
  } | null;
}

/** The processes that share a gateway's port, as one of them sees them: whichever is asked answers for all. */
export interface Fleet {
  /** @param own what this process has counted. @returns asks all of them. */
  join(own: () => readonly Metric[]): () => Promise<FleetReport>;
}

export const ALONE: Fleet = {
  join: (own) => async () => ({ metrics: own(), processes: null }),
};
