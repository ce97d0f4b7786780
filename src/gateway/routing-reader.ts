import { createHash } from 'node:crypto';
import type { Digest } from '../schemas/ids';
import { Name } from '../schemas/ids';
import { policiesPrefix } from '../storage/keys';
import type { ObjectStore } from '../storage/object-store';
import type { Routing } from '../storage/routing';
import { readRouting } from '../storage/routing';
import { RecentMap } from './recent-map';

/** Which checkpoint answers for a policy, at most `pollMs` old. */
export interface RoutingReader {
  /**
   * @param stickyUnit what must stay on one side of a canary split: the session's id.
   * @returns null if there is no such policy.
   */
  resolve(policy: string, stickyUnit: string): Promise<Digest | null>;
  /** The champion and, if there is one, the candidate; empty if there is no such policy. */
  named(policy: string): Promise<readonly Digest[]>;
  /** Names of the policies that have a champion, sorted. */
  policies(): Promise<readonly string[]>;
}

export interface RoutingReaderOptions {
  /** @default 2000 */
  readonly pollMs?: number;
  /** Milliseconds since 1970. */
  readonly now?: () => number;
}

interface Cached<T> {
  readonly value: T;
  readonly readAt: number;
}

/**
 * Reads routing pointers on demand and keeps each for `pollMs`; one read per pointer is under way at a time. Where the store cannot be
 * read, the last pointer that was read goes on serving, however old: a champion that was right is better than none.
 *
 * @throws {TransientError} from its methods, if the store cannot be read and nothing was read before.
 */
export function createRoutingReader(
  store: ObjectStore,
  { pollMs = 2_000, now = Date.now }: RoutingReaderOptions = {},
): RoutingReader {
  const routing = cachedReads(
    async (policy: string) => (await readRouting(store, policy))?.routing ?? null,
    pollMs,
    now,
  );
  const policies = cachedReads(async (_: 'all') => listPolicies(store), pollMs, now);

  return {
    async resolve(policy, stickyUnit) {
      const current = await routing(policy);
      return current === null ? null : splitTraffic(current, stickyUnit, now());
    },
    async named(policy) {
      const current = await routing(policy);
      if (current === null) return [];
      return current.candidate === null
        ? [current.champion]
        : [current.champion, current.candidate];
    },
    policies: () => policies('all'),
  };
}

/**
 * The candidate for its share of the units, else the champion. A unit keeps its side while the share grows, and a canary whose lease ran
 * out is over.
 */
export function splitTraffic(routing: Routing, stickyUnit: string, nowMs: number): Digest {
  const { candidate, champion, basisPoints, salt, leaseUntil } = routing;
  if (candidate === null || basisPoints === 0) return champion;
  if (leaseUntil !== null && Date.parse(leaseUntil) <= nowMs) return champion;
  // A hash without structure: with FNV-1a the shares of two salts overlap far more than by chance.
  const hash = createHash('sha256').update(`${salt}\n${stickyUnit}`).digest();
  return (hash.readUInt32BE() / 2 ** 32) * 10_000 < basisPoints ? candidate : champion;
}

/** Enough for any deployment; more names than this are somebody guessing, and must not fill the memory. */
const MAX_CACHED = 500;

function cachedReads<K, V>(
  read: (key: K) => Promise<V>,
  pollMs: number,
  now: () => number,
): (key: K) => Promise<V> {
  const cache = new RecentMap<K, Cached<V>>(MAX_CACHED);
  const underWay = new Map<K, Promise<V>>();

  const refresh = async (key: K): Promise<V> => {
    const readAt = now();
    try {
      const value = await read(key);
      cache.set(key, { value, readAt });
      return value;
    } catch (error) {
      const stale = cache.get(key);
      if (stale === undefined) throw error;
      // Stale is served (see above), and asked for again only after another `pollMs`: a store that is down is not hammered.
      cache.set(key, { value: stale.value, readAt });
      return stale.value;
    } finally {
      underWay.delete(key);
    }
  };
  return async (key) => {
    const cached = cache.get(key);
    if (cached !== undefined && now() - cached.readAt < pollMs) return cached.value;
    let reading = underWay.get(key);
    if (reading === undefined) {
      reading = refresh(key);
      underWay.set(key, reading);
    }
    return reading;
  };
}

async function listPolicies(store: ObjectStore): Promise<readonly string[]> {
  const prefix = policiesPrefix();
  const names = new Set<string>();
  for await (const { key } of store.list(prefix)) {
    const [name = '', file] = key.slice(prefix.length).split('/');
    if (file === 'routing.json' && Name.safeParse(name).success) names.add(name);
  }
  return [...names].sort();
}
