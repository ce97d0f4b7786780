import type { GatewayCounters } from '../metrics/counters';
import type { SpoolStatus } from '../metrics/gateway-metrics';
import { gatewayMetrics } from '../metrics/gateway-metrics';
import { PROMETHEUS_TYPE, toPrometheusText } from '../metrics/prometheus-text';
import type { GatewayContext } from '../http/gateway-context';

export interface MetricsDeps {
  readonly counters: GatewayCounters;
  readonly spoolStatus: (() => SpoolStatus) | undefined;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

/** `GET /metrics`, in Prometheus's text format. Names nobody: no agents, sessions or keys. Scrapes do not count as requests. */
export function metrics({
  counters,
  spoolStatus,
  now,
}: MetricsDeps): (c: GatewayContext) => Response {
  return (c) =>
    c.body(toPrometheusText(gatewayMetrics(counters, spoolStatus?.() ?? null, now())), 200, {
      'content-type': PROMETHEUS_TYPE,
    });
}
