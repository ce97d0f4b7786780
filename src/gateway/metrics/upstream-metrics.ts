import type { Breaker } from '../upstreams/circuit-breaker';
import { upstreamNames } from '../upstreams/model-table';
import type { Upstreams } from '../upstreams/upstreams';
import type { Metric } from './prometheus-text';

const STATES = ['closed', 'halfOpen', 'open'] as const satisfies readonly Breaker['kind'][];

/** How the upstreams are, as this process sees it. Names of upstreams are the configuration's own. */
export function upstreamMetrics({ models, health, budget }: Upstreams): readonly Metric[] {
  const all = upstreamNames(models).map((name) => ({ name, ...health.status(name) }));
  return [
    {
      ...{ name: 'ratchet_upstream_requests_total', type: 'counter' },
      help: 'Requests sent to upstreams, retries included.',
      samples: all.map(({ name, asked }) => ({ labels: { upstream: name }, value: asked })),
    },
    {
      ...{ name: 'ratchet_upstream_running', type: 'gauge' },
      help: 'Requests under way there, up to the last byte of their answers.',
      samples: all.map(({ name, running }) => ({ labels: { upstream: name }, value: running })),
    },
    {
      ...{ name: 'ratchet_upstream_retries_total', type: 'counter' },
      help: 'Of those, tries after the first of their call, here or elsewhere.',
      samples: all.map(({ name, retries }) => ({ labels: { upstream: name }, value: retries })),
    },
    {
      ...{ name: 'ratchet_upstream_errors_total', type: 'counter' },
      help: 'Answers that were none: unreachable, slow, cut, garbage, said, status_<code>.',
      samples: all.flatMap(({ name, errors }) =>
        Object.entries(errors).map(([fault, value]) => ({
          ...{ labels: { upstream: name, fault }, value },
        })),
      ),
    },
    {
      ...{ name: 'ratchet_upstream_breaker_state', type: 'gauge', across: 'max' },
      help: 'Its circuit breaker: 0 closed, 1 half-open, 2 open; of several processes, the worst.',
      samples: all.map(({ name, breaker }) => ({
        ...{ labels: { upstream: name }, value: STATES.indexOf(breaker.kind) },
      })),
    },
    {
      ...{ name: 'ratchet_upstream_retries_denied_total', type: 'counter' },
      help: 'Retries that were not made because the retry budget was spent.',
      samples: [{ value: budget.denied() }],
    },
  ];
}
