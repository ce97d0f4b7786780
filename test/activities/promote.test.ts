import { createPromoteActivities, type PromoteActivities } from '../../activities/promote';
import { InvalidInputError, TransientError } from '../../src/errors';
import type { ApprovalRecord } from '../../src/schemas/approval';
import { PromoteInput, type Champion } from '../../src/schemas/stages';
import { writeCheckpoint } from '../../src/storage/checkpoints';
import { promotionKey, promotionsPrefix, routingKey } from '../../src/storage/keys';
import type { ObjectStore } from '../../src/storage/object-store';
import { readRouting } from '../../src/storage/routing';
import { digest } from '../fakes/fake-activities';
import { createMemoryObjectStore } from '../fakes/memory-object-store';

const NOW = Date.parse('2026-11-24T08:00:00.000Z');
const policy = 'support';
const first: Champion = { digest: digest(1), generation: 1 };

function activitiesOn(store: ObjectStore, now = NOW): PromoteActivities {
  return createPromoteActivities({ store, now: () => now, hasSearchAttributes: async () => true });
}

function approvalOf(candidate = digest(2), champion = first): ApprovalRecord {
  return {
    request: {
      candidate,
      evaluation: digest(0xe),
      dataset: digest(0xd),
      champion,
      requestedAt: '2026-11-24T07:00:00.000Z',
      deadline: '2026-12-01T07:00:00.000Z',
    },
    decision: 'approve',
    by: 'ops-lead',
    at: '2026-11-24T07:30:00.000Z',
    via: 'update',
    authenticated: false,
  };
}

/** A store whose policy has `first` as its champion. */
async function storeWithChampion(): Promise<ObjectStore> {
  const store = createMemoryObjectStore();
  await activitiesOn(store).registerChampion({ policy, checkpoint: first.digest });
  return store;
}

const recordsIn = async (store: ObjectStore): Promise<string[]> => {
  const keys: string[] = [];
  for await (const { key } of store.list(promotionsPrefix(policy))) keys.push(key);
  return keys;
};

describe('registering the first champion', () => {
  it('makes generation 1', async () => {
    const store = createMemoryObjectStore();
    const champion = await activitiesOn(store).registerChampion({ policy, checkpoint: digest(1) });
    expect(champion).toEqual(first);
    expect((await readRouting(store, policy))?.routing).toMatchObject({
      champion: digest(1),
      previous: null,
      promotionId: null,
      candidate: null,
    });
  });

  it('answers the same when it is run again', async () => {
    const store = await storeWithChampion();
    await expect(
      activitiesOn(store).registerChampion({ policy, checkpoint: first.digest }),
    ).resolves.toEqual(first);
  });

  it('lost to another run gives that run’s champion and changes nothing', async () => {
    const store = await storeWithChampion();
    const champion = await activitiesOn(store).registerChampion({ policy, checkpoint: digest(7) });
    expect(champion).toEqual(first);
    expect((await readRouting(store, policy))?.routing.champion).toBe(first.digest);
  });
});

describe('a promotion', () => {
  const order = { policy, promotionId: 'promotion-a', approval: approvalOf() };

  it('moves the pointer by one generation and stores who approved what', async () => {
    const store = await storeWithChampion();
    await expect(activitiesOn(store).promote(order)).resolves.toEqual({
      kind: 'moved',
      champion: { digest: digest(2), generation: 2 },
      previous: digest(1),
    });
    expect((await readRouting(store, policy))?.routing).toMatchObject({
      champion: digest(2),
      generation: 2,
      previous: digest(1),
      promotionId: 'promotion-a',
    });
    const record = await store.get(promotionKey(policy, 2, 'promotion-a'));
    expect(JSON.parse(Buffer.from(record.bytes).toString())).toEqual({
      kind: 'promoted',
      checksum: expect.stringMatching(/^[0-9a-f]{64}$/) as string,
      champion: digest(2),
      previous: digest(1),
      approval: order.approval,
      at: '2026-11-24T08:00:00.000Z',
    });
  });

  it('writes the record before the pointer that names it', async () => {
    const store = await storeWithChampion();
    const written: string[] = [];
    const watched: ObjectStore = {
      ...store,
      put: async (key, ...rest) => {
        written.push(key);
        return store.put(key, ...rest);
      },
    };
    await activitiesOn(watched).promote(order);
    expect(written).toEqual([promotionKey(policy, 2, 'promotion-a'), routingKey(policy)]);
  });

  it('recognizes itself after its answer was lost', async () => {
    const store = await storeWithChampion();
    const before = await activitiesOn(store).promote(order);
    const again = await activitiesOn(store, NOW + 60_000).promote(order);
    expect(again).toEqual(before);
    expect((await readRouting(store, policy))?.routing.generation).toBe(2);
    await expect(recordsIn(store)).resolves.toHaveLength(1);
  });

  it('recognizes itself where the store committed the pointer and the answer got lost on the way', async () => {
    const store = await storeWithChampion();
    let isLost = true;
    const flaky: ObjectStore = {
      ...store,
      put: async (key, ...rest) => {
        const outcome = await store.put(key, ...rest);
        if (key !== routingKey(policy) || !isLost) return outcome;
        isLost = false;
        throw new TransientError('the connection was cut');
      },
    };
    await expect(activitiesOn(flaky).promote(order)).rejects.toThrow(TransientError);
    await expect(activitiesOn(flaky).promote(order)).resolves.toMatchObject({
      kind: 'moved',
      champion: { generation: 2 },
    });
  });

  it('is stale when the champion has moved since the evidence was gathered', async () => {
    const store = await storeWithChampion();
    await activitiesOn(store).promote(order);
    const late = { policy, promotionId: 'promotion-b', approval: approvalOf(digest(3), first) };
    await expect(activitiesOn(store).promote(late)).resolves.toEqual({
      kind: 'stale',
      champion: { digest: digest(2), generation: 2 },
    });
    expect((await readRouting(store, policy))?.routing.champion).toBe(digest(2));
  });

  it('is stale when the same checkpoint is champion again, but a generation later', async () => {
    const store = await storeWithChampion();
    const activities = activitiesOn(store);
    await activities.promote(order);
    const back = { policy, promotionId: 'promotion-a', generation: 2, by: 'ops', reason: '' };
    await activities.rollback(back); // digest(1) is champion again, as generation 3
    const late = { policy, promotionId: 'promotion-b', approval: approvalOf(digest(3), first) };
    await expect(activities.promote(late)).resolves.toEqual({
      kind: 'stale',
      champion: { digest: digest(1), generation: 3 },
    });
  });

  it('is stale for all but one of two at once', async () => {
    const store = await storeWithChampion();
    const activities = activitiesOn(store);
    const outcomes = await Promise.all(
      [2, 3].map((n) =>
        activities.promote({
          policy,
          promotionId: `promotion-${n}`,
          approval: approvalOf(digest(n)),
        }),
      ),
    );
    expect(outcomes.map(({ kind }) => kind).sort()).toEqual(['moved', 'stale']);
    expect((await readRouting(store, policy))?.routing.generation).toBe(2);
  });

  it('does not come of a rejection', async () => {
    const store = await storeWithChampion();
    const rejected = { ...order, approval: { ...approvalOf(), decision: 'reject' as const } };
    await expect(activitiesOn(store).promote(rejected)).rejects.toThrow(
      /needs an approval: expected decision approve, got reject/,
    );
    expect((await readRouting(store, policy))?.routing.champion).toBe(first.digest);
    await expect(recordsIn(store)).resolves.toEqual([]);
  });

  it('does not come of a record with a field that is not an approval’s', () => {
    const garbage = { ...order, approval: { ...approvalOf(), forced: true } };
    expect(PromoteInput.safeParse(garbage).success).toBe(false);
  });

  it('of a policy without a champion is refused', async () => {
    const promoted = activitiesOn(createMemoryObjectStore()).promote(order);
    await expect(promoted).rejects.toThrow(InvalidInputError);
    await expect(promoted).rejects.toThrow(/has no champion.*policy=support/);
  });
});

describe('a rollback', () => {
  const back = {
    policy,
    promotionId: 'promotion-a',
    generation: 2,
    by: 'ops-lead',
    reason: 'complaints',
  };
  const promoted = async (): Promise<ObjectStore> => {
    const store = await storeWithChampion();
    const approval = approvalOf();
    await activitiesOn(store).promote({ policy, promotionId: 'promotion-a', approval });
    return store;
  };

  it('returns to the champion before, as a new generation, and stores who ordered it', async () => {
    const store = await promoted();
    await expect(activitiesOn(store).rollback(back)).resolves.toEqual({
      kind: 'moved',
      champion: { digest: digest(1), generation: 3 },
      previous: digest(2),
    });
    const record = await store.get(promotionKey(policy, 3, 'promotion-a.rollback'));
    expect(JSON.parse(Buffer.from(record.bytes).toString())).toMatchObject({
      kind: 'rolled-back',
      champion: digest(1),
      previous: digest(2),
      by: 'ops-lead',
      reason: 'complaints',
    });
  });

  it('goes back exactly once, however often it is run', async () => {
    const store = await promoted();
    const once = await activitiesOn(store).rollback(back);
    await expect(activitiesOn(store, NOW + 1).rollback(back)).resolves.toEqual(once);
    expect((await readRouting(store, policy))?.routing).toMatchObject({
      champion: digest(1),
      generation: 3,
    });
  });

  it('is stale once another promotion has moved on', async () => {
    const store = await promoted();
    const champion = { digest: digest(2), generation: 2 };
    const approval = approvalOf(digest(3), champion);
    await activitiesOn(store).promote({ policy, promotionId: 'promotion-b', approval });
    await expect(activitiesOn(store).rollback(back)).resolves.toEqual({
      kind: 'stale',
      champion: { digest: digest(3), generation: 3 },
    });
    expect((await readRouting(store, policy))?.routing.champion).toBe(digest(3));
  });

  it('is stale for the first champion: there is nothing before it', async () => {
    const store = await storeWithChampion();
    await expect(activitiesOn(store).rollback({ ...back, generation: 1 })).resolves.toEqual({
      kind: 'stale',
      champion: first,
    });
  });
});

describe('opening a promotion', () => {
  it('needs a champion and a candidate that is in the store', async () => {
    const store = createMemoryObjectStore();
    const files = new Map([['config.json', Buffer.from('{}')]]);
    const candidate = await writeCheckpoint(store, { files, metadata: {} });
    const activities = activitiesOn(store);
    await expect(activities.openPromotion({ policy, candidate })).rejects.toThrow(
      /has no champion/,
    );
    await activities.registerChampion({ policy, checkpoint: digest(1) });
    await expect(activities.openPromotion({ policy, candidate })).resolves.toEqual({
      searchAttributes: true,
    });
    await expect(activities.openPromotion({ policy, candidate: digest(5) })).rejects.toThrow(
      /no checkpoint was committed/,
    );
  });

  it('names the field of its input that is wrong', async () => {
    const activities = activitiesOn(createMemoryObjectStore());
    await expect(
      activities.openPromotion({ policy: 'Not a name', candidate: 'x' }),
    ).rejects.toThrow(/openPromotion[\s\S]*policy[\s\S]*candidate/);
  });
});
