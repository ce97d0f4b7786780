import type { GatewayCounters } from '../metrics/counters';
import type { Redaction } from '../recording/redaction';
import type { SpoolStatus } from '../metrics/gateway-metrics';
import { gatewayMetrics } from '../metrics/gateway-metrics';
import { PROMETHEUS_TYPE, toPrometheusText } from '../metrics/prometheus-text';
import { upstreamMetrics } from '../metrics/upstream-metrics';
import type { Upstreams } from '../upstreams/upstreams';
import type { GatewayContext } from '../http/gateway-context';

export interface MetricsDeps {
  readonly counters: GatewayCounters;
  readonly spoolStatus: (() => SpoolStatus) | undefined;
  readonly upstreams: Upstreams;
  readonly redaction: Redaction;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

/** `GET /metrics`, in Prometheus's text format. Names no sessions, users or keys; agents only. Scrapes do not count as requests. */
export function metrics({
  counters,
  spoolStatus,
  upstreams,
  redaction,
  now,
}: MetricsDeps): (c: GatewayContext) => Response {
  return (c) => {
    const all = [
      ...gatewayMetrics(counters, spoolStatus?.() ?? null, now(), redaction.counts()),
      ...upstreamMetrics(upstreams),
    ];
    return c.body(toPrometheusText(all), 200, { 'content-type': PROMETHEUS_TYPE });
  };
}
