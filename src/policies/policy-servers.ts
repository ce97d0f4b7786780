import { InvalidInputError } from '../errors';
import type { Digest } from '../schemas/ids';
import { readCheckpointManifest } from '../storage/checkpoints';
import type { ObjectStore } from '../storage/object-store';
import type { PolicyServer } from './policy-server';

/**
 * One server for checkpoints of all kinds: what a checkpoint's manifest says of itself (`kind`) decides who serves it.
 *
 * @param servers by kind. The first serves what says nothing, as the oldest checkpoints do.
 */
export function joinPolicyServers(
  store: ObjectStore,
  servers: Readonly<Record<string, PolicyServer>>,
): PolicyServer {
  const kinds = new Map<Digest, string>(); // a digest never changes its meaning
  const [first = ''] = Object.keys(servers);

  async function kindOf(checkpoint: Digest): Promise<string> {
    const known = kinds.get(checkpoint);
    if (known !== undefined) return known;
    const { metadata } = await readCheckpointManifest(store, checkpoint);
    const kind = typeof metadata['kind'] === 'string' ? metadata['kind'] : first;
    kinds.set(checkpoint, kind);
    return kind;
  }

  return {
    async serve(checkpoint) {
      const kind = await kindOf(checkpoint);
      const server = Object.hasOwn(servers, kind) ? servers[kind] : undefined;
      if (server !== undefined) return server.serve(checkpoint);
      throw new InvalidInputError(
        `a checkpoint is of a kind that nobody here serves: expected ${Object.keys(servers).join(' or ')}, got ${kind}`,
        { context: { checkpoint } },
      );
    },
    async close() {
      await Promise.all(Object.values(servers).map((server) => server.close()));
    },
  };
}
