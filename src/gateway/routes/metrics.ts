import type { FleetReport } from '../fleet';
import { PROMETHEUS_TYPE, toPrometheusText } from '../metrics/prometheus-text';
import type { GatewayContext } from '../http/gateway-context';

/** `GET /metrics`, in Prometheus's text format. Names agents and models; no sessions, users or keys. Scrapes do not count as requests. */
export function metrics(
  report: () => Promise<FleetReport>,
): (c: GatewayContext) => Promise<Response> {
  return async (c) =>
    c.body(toPrometheusText((await report()).metrics), 200, { 'content-type': PROMETHEUS_TYPE });
}
