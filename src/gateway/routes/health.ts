import { TransientError } from '../../errors';
import { spoolState } from '../recording/drain-spool';
import type { FleetReport } from '../fleet';
import type { SpoolStatus } from '../metrics/gateway-metrics';
import type { Handler } from '../http/route';
import type { RoutingReader } from '../routing-reader';

export interface ReadinessDeps {
  readonly routing: RoutingReader;
  readonly spoolStatus: (() => SpoolStatus) | undefined;
  readonly report: () => Promise<FleetReport>;
}

/** `GET /healthz`: the process answers. */
export function health(): Handler<null> {
  return async () => ({ body: { status: 'ok' } });
}

/**
 * `GET /readyz`: it knows which policies there are. Once it does, a store that is down does not make it unready: it goes on answering live
 * traffic from what it has loaded, and taking every gateway out of rotation would help nobody. The same holds for a spool that is full:
 * calls are answered without being recorded, and `spool` says so; and for one of several processes that ended and is started again.
 */
export function readiness({ routing, spoolStatus, report }: ReadinessDeps): Handler<null> {
  return async () => {
    try {
      await routing.policies();
    } catch (cause) {
      throw new TransientError('not ready: the object store did not answer yet', { cause });
    }
    const { processes } = await report();
    if (processes?.isStarting === true) {
      const { running, expected } = processes;
      throw new TransientError(`not ready: ${running} of ${expected} processes serve`);
    }
    const status = spoolStatus?.();
    return {
      body: {
        status: 'ready',
        ...(processes === null
          ? {}
          : { processes: `${processes.running} of ${processes.expected}` }),
        ...(status === undefined
          ? {}
          : { spool: spoolState(status.spool), drainFailuresInARow: status.drain.failuresInARow }),
      },
    };
  };
}
