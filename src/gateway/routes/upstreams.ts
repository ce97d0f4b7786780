import type { Principal } from '../keys/auth';
import type { Handler } from '../http/route';
import type { Breaker } from '../upstreams/circuit-breaker';
import { upstreamNames } from '../upstreams/model-table';
import type { Pauses } from '../pauses';
import type { Upstreams } from '../upstreams/upstreams';

const STATE: Readonly<Record<Breaker['kind'], string>> = {
  ...{ closed: 'closed', open: 'open', halfOpen: 'half_open' },
};

/** `GET /v1/upstreams`: how the upstreams are, as this process has seen since it started. Other processes may have seen other things. */
export function listUpstreams({ models, health }: Upstreams, pauses: Pauses): Handler<Principal> {
  return async () => ({
    body: {
      object: 'list',
      data: upstreamNames(models).map((name) => {
        const { breaker, running, asked, retries, errors } = health.status(name);
        return {
          ...{ id: name, object: 'upstream', models: modelsOf(models, name) },
          breaker: {
            state: STATE[breaker.kind],
            failures_in_a_row: breaker.kind === 'closed' ? breaker.failures : null,
            open_until: breaker.kind === 'open' ? new Date(breaker.untilMs).toISOString() : null,
          },
          ...{ paused: pauses.find('upstream', name)?.reason ?? null },
          ...{ running, requests: asked, retries, errors },
        };
      }),
    },
  });
}

function modelsOf(models: Upstreams['models'], upstream: string): string[] {
  return models.names.filter((model) =>
    models.targets(model)?.some((target) => target.upstream.name === upstream),
  );
}
