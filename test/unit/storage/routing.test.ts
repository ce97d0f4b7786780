import { z } from 'zod';
import { IntegrityError, InvalidInputError } from '../../../src/errors';
import type { Digest } from '../../../src/schemas/ids';
import { routingKey } from '../../../src/storage/keys';
import type { ObjectStore } from '../../../src/storage/object-store';
import {
  type Routing,
  createRouting,
  readPromotionRecord,
  readRouting,
  swapRouting,
  writePromotionRecord,
} from '../../../src/storage/routing';
import { dyingStore } from '../../fakes/dying-store';
import { createMemoryObjectStore } from '../../fakes/memory-object-store';

const digest = (digit: string): Digest => `sha256:${digit.repeat(64)}`;
const first: Routing = {
  formatVersion: 1,
  generation: 1,
  champion: digest('a'),
  candidate: null,
  basisPoints: 0,
  salt: 'salt',
  leaseUntil: null,
  previous: null,
  promotionId: null,
};
const promoted: Routing = {
  ...first,
  generation: 2,
  champion: digest('b'),
  previous: digest('a'),
  promotionId: 'p-1',
};
const Record = z.strictObject({ approvedBy: z.string(), at: z.string() });
const record = { approvedBy: 'ops', at: '2025-01-01T00:00:00Z' };

let store: ObjectStore;
let etag: string;
const recorded = (routing: Routing): Promise<unknown> =>
  writePromotionRecord(
    store,
    'desk',
    { generation: routing.generation, promotionId: routing.promotionId ?? '' },
    record,
    Record,
  );
beforeEach(async () => {
  store = createMemoryObjectStore();
  expect(await readRouting(store, 'desk')).toBeNull();
  const outcome = await createRouting(store, 'desk', first);
  if (!outcome.committed) throw new Error('expected the first pointer to commit');
  etag = outcome.etag;
});

it('the first pointer is created once; a retry that finds its own has committed, another one lost', async () => {
  expect(await readRouting(store, 'desk')).toEqual({ routing: first, etag });
  expect(await createRouting(store, 'desk', first)).toEqual({ committed: true, etag });
  expect(await createRouting(store, 'desk', { ...first, champion: digest('c') })).toEqual({
    committed: false,
    current: { routing: first, etag },
  });
});

it('a swap commits against the pointer it was derived from, and only that', async () => {
  await recorded(promoted);
  const won = await swapRouting(store, 'desk', etag, promoted);
  expect(won.committed).toBe(true);
  const current = await readRouting(store, 'desk');
  expect(current?.routing).toEqual(promoted);
  expect(await swapRouting(store, 'desk', etag, { ...promoted, promotionId: 'p-2' })).toEqual({
    committed: false,
    current,
  });
  expect(await swapRouting(store, 'other', etag, promoted)).toEqual({
    committed: false,
    current: null,
  });
});

it('of two swaps that both saw the same pointer, one commits and the other gets what is there', async () => {
  const rival = { ...promoted, champion: digest('c'), promotionId: 'p-2' };
  await recorded(promoted);
  await recorded(rival);
  const outcomes = await Promise.all([
    swapRouting(store, 'desk', etag, promoted),
    swapRouting(store, 'desk', etag, rival),
  ]);
  expect(outcomes.map(({ committed }) => committed).sort()).toEqual([false, true]);
  const lost = outcomes.find(({ committed }) => !committed);
  expect(lost).toEqual({ committed: false, current: await readRouting(store, 'desk') });
});

it('a retry after a lost answer knows its own promotion, though its lease is stamped later', async () => {
  const canary: Routing = {
    ...first,
    generation: 2,
    candidate: digest('b'),
    basisPoints: 500,
    leaseUntil: '2025-01-01T00:00:00Z',
    promotionId: 'p-1',
  };
  await recorded(canary);
  const dying = dyingStore(store, { puts: 0, answerLost: true });
  await expect(swapRouting(dying, 'desk', etag, canary)).rejects.toThrow('the process died');
  const retried = await swapRouting(store, 'desk', etag, {
    ...canary,
    leaseUntil: '2025-01-01T00:01:00Z',
  });
  const stored = await readRouting(store, 'desk');
  expect(retried).toEqual({ committed: true, etag: stored?.etag });
  expect(stored?.routing.leaseUntil).toBe('2025-01-01T00:00:00Z');
});

it('a swap without a promotion is known by its whole content', async () => {
  const rollback: Routing = { ...first, generation: 2, champion: digest('c') };
  await swapRouting(store, 'desk', etag, rollback);
  expect((await swapRouting(store, 'desk', etag, rollback)).committed).toBe(true);
  expect(
    (await swapRouting(store, 'desk', etag, { ...rollback, champion: digest('d') })).committed,
  ).toBe(false);
});

it('a crash before the swap leaves the old pointer', async () => {
  await recorded(promoted);
  const dying = dyingStore(store, { puts: 0, answerLost: false });
  await expect(swapRouting(dying, 'desk', etag, promoted)).rejects.toThrow('the process died');
  expect(await readRouting(store, 'desk')).toEqual({ routing: first, etag });
});

it('no pointer names a promotion that has no record', async () => {
  await expect(swapRouting(store, 'desk', etag, promoted)).rejects.toThrow(InvalidInputError);
  await expect(createRouting(store, 'new', { ...first, promotionId: 'p-1' })).rejects.toThrow(
    InvalidInputError,
  );
  expect(await readRouting(store, 'desk')).toEqual({ routing: first, etag });
  await recorded(promoted);
  const outcome = await swapRouting(store, 'desk', etag, promoted);
  // A later step of the same promotion needs no record of its own.
  const next = { ...promoted, generation: 3, salt: 'other' };
  expect(
    outcome.committed && (await swapRouting(store, 'desk', outcome.etag, next)).committed,
  ).toBe(true);
});

it('the first promotion record stays, and a retry gets it back', async () => {
  const id = { generation: 2, promotionId: 'p-1' };
  expect(await writePromotionRecord(store, 'desk', id, record, Record)).toEqual(record);
  const later = { ...record, at: '2025-01-02T00:00:00Z' };
  expect(await writePromotionRecord(store, 'desk', id, later, Record)).toEqual(record);
  expect(await readPromotionRecord(store, 'desk', id, Record)).toEqual(record);
});

it.each([
  ['a generation that skips one', { ...promoted, generation: 3 }],
  ['a share of more than all', { ...promoted, candidate: digest('c'), basisPoints: 10_001 }],
  ['a share without a candidate', { ...promoted, basisPoints: 1 }],
  ['a champion that is no digest', { ...promoted, champion: 'sha256:abc' as const }],
  ['a lease that is no instant', { ...promoted, candidate: digest('c'), leaseUntil: 'tomorrow' }],
])('refuses %s', async (_, next) => {
  await recorded(next);
  await expect(swapRouting(store, 'desk', etag, next)).rejects.toThrow(InvalidInputError);
  expect(await readRouting(store, 'desk')).toEqual({ routing: first, etag });
});

it('a pointer of a newer format is refused, not guessed at', async () => {
  await store.put(
    routingKey('desk'),
    new TextEncoder().encode(JSON.stringify({ ...first, formatVersion: 2 })),
  );
  await expect(readRouting(store, 'desk')).rejects.toThrow(IntegrityError);
});
