import type { ModelTable } from './model-table';
import type { UpstreamTransport } from './upstream';
import { UpstreamError } from './upstream';

/** The models that upstreams answer for, and how they are reached. */
export interface Upstreams {
  readonly models: ModelTable;
  readonly transport: UpstreamTransport;
}

export const NO_UPSTREAMS: Upstreams = {
  models: { names: [], targets: () => null, policy: () => null },
  transport: {
    // Nobody gets here: the table names no upstream.
    send: ({ name: upstream }) =>
      Promise.reject(
        new UpstreamError('unreachable', 'this gateway has no upstreams', { upstream }),
      ),
    close: async () => undefined,
  },
};
