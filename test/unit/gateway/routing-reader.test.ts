import { createRoutingReader, splitTraffic } from '../../../src/gateway/routing-reader';
import type { ObjectStore } from '../../../src/storage/object-store';
import { createRouting, readRouting, swapRouting } from '../../../src/storage/routing';
import { createMemoryObjectStore } from '../../fakes/memory-object-store';
import { CANDIDATE, CHAMPION, OTHER, routingTo } from './gateway-fixture';

async function swapTo(store: ObjectStore, champion: typeof CHAMPION): Promise<void> {
  const current = await readRouting(store, 'support');
  const generation = (current?.routing.generation ?? 0) + 1;
  const next = { ...routingTo(champion), generation };
  await swapRouting(store, 'support', current?.etag ?? '', next);
}

describe('the routing reader', () => {
  test('notices a new champion within its polling interval, and reads no more often', async () => {
    const store = createMemoryObjectStore();
    await createRouting(store, 'support', routingTo(CHAMPION));
    let nowMs = 0;
    let reads = 0;
    const counted: ObjectStore = { ...store, get: (key) => (reads++, store.get(key)) };
    const routing = createRoutingReader(counted, { now: () => nowMs });
    const resolve = () => routing.resolve('support', 's');
    expect(await Promise.all([resolve(), resolve(), resolve()])).toEqual([
      ...[CHAMPION, CHAMPION, CHAMPION],
    ]);
    expect(reads).toBe(1);
    await swapTo(store, OTHER);
    nowMs = 1_999;
    expect(await resolve()).toBe(CHAMPION);
    nowMs = 2_000;
    expect(await resolve()).toBe(OTHER);
    expect(reads).toBe(2);
  });

  test('goes on with what it has while the store is down', async () => {
    const store = createMemoryObjectStore();
    await createRouting(store, 'support', routingTo(CHAMPION));
    let nowMs = 0;
    let isDown = false;
    const flaky: ObjectStore = {
      ...store,
      get: (key) => (isDown ? Promise.reject(new Error('down')) : store.get(key)),
    };
    const routing = createRoutingReader(flaky, { now: () => nowMs });
    await routing.resolve('support', 's');
    isDown = true;
    nowMs = 10_000;
    expect(await routing.resolve('support', 's')).toBe(CHAMPION);
    await expect(routing.resolve('unheard-of', 's')).rejects.toThrow('down');
    isDown = false;
    expect(await routing.resolve('unheard-of', 's')).toBeNull();
  });

  test('lists policies that have a champion', async () => {
    const store = createMemoryObjectStore();
    for (const policy of ['support', 'code']) {
      await createRouting(store, policy, routingTo(CHAMPION, CANDIDATE));
    }
    await store.put('v1/policies/unfinished/promotions/x.json', new Uint8Array());
    const routing = createRoutingReader(store);
    expect(await routing.policies()).toEqual(['code', 'support']);
    expect(await routing.named('code')).toEqual([CHAMPION, CANDIDATE]);
    expect(await routing.named('nobody')).toEqual([]);
  });
});

describe('the traffic split', () => {
  const canary = { ...routingTo(CHAMPION, CANDIDATE), basisPoints: 2_500 };
  const units = Array.from({ length: 20_000 }, (_, i) => `live/desk/${i}`);
  const share = (basisPoints: number, salt = 'salt'): Set<string> =>
    new Set(
      units.filter((u) => splitTraffic({ ...canary, basisPoints, salt }, u, 0) === CANDIDATE),
    );

  test('gives the candidate its share', () => {
    expect(share(0).size).toBe(0);
    expect(share(10_000).size).toBe(units.length);
    // 4 standard deviations of a binomial share.
    expect(Math.abs(share(2_500).size / units.length - 0.25)).toBeLessThan(0.0125);
  });

  test('keeps a unit with the candidate while its share grows', () => {
    const large = share(5_000);
    expect([...share(1_000)].every((unit) => large.has(unit))).toBe(true);
  });

  test('draws anew with another salt', () => {
    const other = share(2_500, 'another');
    const both = [...share(2_500)].filter((unit) => other.has(unit)).length;
    expect(Math.abs(both / units.length - 0.0625)).toBeLessThan(0.0075);
  });

  test('ends with the lease', () => {
    const leased = { ...canary, basisPoints: 10_000, leaseUntil: '2026-11-23T12:00:00.000Z' };
    const end = Date.parse(leased.leaseUntil);
    expect(splitTraffic(leased, 'u', end - 1)).toBe(CANDIDATE);
    expect(splitTraffic(leased, 'u', end)).toBe(CHAMPION);
  });
});
