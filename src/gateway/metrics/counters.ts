/** What a gateway has done since it started. */
export interface GatewayCounters {
  /** Requests answered with 2xx. */
  answered: number;
  /** Requests refused with 4xx. */
  refused: number;
  /** Requests that failed with 5xx. */
  failed: number;
  /** Live calls that were answered although they could not be recorded. */
  unrecorded: number;
  /** Spans that came in traces. */
  readonly observed: ObservedCounters;
  /** Requests by the HTTP status of their answer. */
  byStatus: Record<number, number>;
}

export interface ObservedCounters {
  /** Model calls that were recorded; one that was sent again counts again. */
  recorded: number;
  /** Model calls without what was answered: their agent does not capture messages. */
  silent: number;
  /** What cannot be recorded, and was told so. */
  rejected: number;
  /** No model calls, or such as failed. */
  skipped: number;
}

export function createCounters(): GatewayCounters {
  return {
    ...{ answered: 0, refused: 0, failed: 0, unrecorded: 0, byStatus: {} },
    observed: { recorded: 0, silent: 0, rejected: 0, skipped: 0 },
  };
}
