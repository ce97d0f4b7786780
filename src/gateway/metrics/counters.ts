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
  /** Requests by the HTTP status of their answer. */
  byStatus: Record<number, number>;
}

export function createCounters(): GatewayCounters {
  return { answered: 0, refused: 0, failed: 0, unrecorded: 0, byStatus: {} };
}
