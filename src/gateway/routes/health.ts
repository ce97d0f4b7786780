import { TransientError } from '../../errors';
import type { Handler } from '../route';
import type { RoutingReader } from '../routing-reader';

/** `GET /healthz`: the process answers. */
export function health(): Handler<null> {
  return async () => ({ body: { status: 'ok' } });
}

/**
 * `GET /readyz`: it knows which policies there are. Once it does, a store that is down does not make it unready: it goes on answering live
 * traffic from what it has loaded, and taking every gateway out of rotation would help nobody.
 */
export function readiness({ routing }: { readonly routing: RoutingReader }): Handler<null> {
  return async () => {
    try {
      await routing.policies();
    } catch (cause) {
      throw new TransientError('not ready: the object store did not answer yet', { cause });
    }
    return { body: { status: 'ready' } };
  };
}
