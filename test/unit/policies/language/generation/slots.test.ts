import { KvCache } from '../../../../../src/policies/language/generation/kv-cache';
import { Slots } from '../../../../../src/policies/language/generation/slots';
import { stream } from '../../../../../src/rl/counter-rng';

const config = { layers: 2, kvHeads: 3, headDim: 4 };
const newCache = (slots = 4, maxPositions = 1000): KvCache =>
  new KvCache({ config, slots, maxPositions });

/** Keys and values that say which token stands where: every number of a position is its token. */
function write(cache: KvCache, slot: number, position: number, tokens: readonly number[]): void {
  const { layers, kvHeads, headDim } = config;
  cache.reserve(position + tokens.length);
  for (let layer = 0; layer < layers; layer++) {
    for (const which of ['k', 'v'] as const) {
      const source = Float32Array.from(
        { length: kvHeads * tokens.length * headDim },
        (_, i) => tokens[Math.floor(i / headDim) % tokens.length] as number,
      );
      const counts = { row: 0, count: tokens.length, length: tokens.length };
      cache.write({ slot, position, layer, which }, source, counts);
    }
  }
}

/** The tokens of a slot's first positions, which every layer, head and number agree on. */
function read(cache: KvCache, slot: number, positions: number): number[] {
  const tensors = Object.values(cache.tensors(slot, 1));
  expect(tensors).toHaveLength(4);
  const found = new Set<string>();
  for (const { data, shape } of tensors) {
    expect(shape).toEqual([1, config.kvHeads, cache.capacity, config.headDim]);
    for (let head = 0; head < config.kvHeads; head++) {
      for (let d = 0; d < config.headDim; d++) {
        const values = Array.from({ length: positions }, (_, p) =>
          Number(data[(head * cache.capacity + p) * config.headDim + d]),
        );
        found.add(values.join());
      }
    }
  }
  expect(found.size).toBe(1);
  const [only = ''] = found;
  return only === '' ? [] : only.split(',').map(Number);
}

describe('the cache', () => {
  test('keeps what it holds when it grows, and grows to powers of 2', () => {
    const cache = newCache();
    expect(cache.capacity).toBe(64);
    write(cache, 0, 0, [1, 2, 3]);
    write(cache, 3, 0, [7, 8]);
    cache.reserve(65);
    expect(cache.capacity).toBe(128);
    cache.reserve(600);
    expect(cache.capacity).toBe(1000); // no more than is ever needed
    expect(read(cache, 0, 3)).toEqual([1, 2, 3]);
    expect(read(cache, 3, 2)).toEqual([7, 8]);
    expect(cache.sizeBytes).toBe(2 * 2 * 4 * 3 * 1000 * 4 * 4);
  });

  test('takes one row of a batch, and of that as many positions as it is told', () => {
    const cache = newCache();
    const { kvHeads, headDim } = config;
    const source = Float32Array.from({ length: 2 * kvHeads * 5 * headDim }, (_, i) => i);
    cache.write({ slot: 1, position: 2, layer: 0, which: 'k' }, source, {
      row: 1,
      count: 3,
      length: 5,
    });
    const { data } = cache.tensors(1, 1)['cache.0.k'] as { data: ArrayLike<number> };
    const head = 2;
    expect(data[(head * 64 + 2) * headDim]).toBe((kvHeads + head) * 5 * headDim);
    expect(data[(head * 64 + 4) * headDim + 3]).toBe(((kvHeads + head) * 5 + 2) * headDim + 3);
    expect(data[(head * 64 + 5) * headDim]).toBe(0);
  });

  test('a size that no machine has is refused with what it would have taken', () => {
    const cache = newCache(4096, 2 ** 40);
    expect(() => cache.reserve(2 ** 36)).toThrow(/no memory.*fewer sequences.*megabytes/);
    expect(cache.capacity).toBe(64);
  });
});

interface Owner {
  slot: number;
  readonly tokens: number[];
}

function newSlots(count: number): {
  cache: KvCache;
  slots: Slots<Owner>;
  begin: (prompt: readonly number[]) => [Owner, number];
} {
  const cache = newCache(count);
  const slots = new Slots<Owner>(cache);
  return {
    cache,
    slots,
    begin(prompt) {
      const owner: Owner = { slot: -1, tokens: [...prompt] };
      const cached = slots.take(owner, prompt);
      write(cache, owner.slot, cached, prompt.slice(cached));
      slots.contentOf(owner.slot).push(...prompt.slice(cached));
      return [owner, cached];
    },
  };
}

const numbers = (from: number, length: number): number[] =>
  Array.from({ length }, (_, i) => from + i);

describe('slots', () => {
  test('a sequence that begins like one that is there takes its keys over, and leaves it alone', () => {
    const { cache, begin } = newSlots(3);
    const [first] = begin(numbers(0, 30));
    const [second, cached] = begin([...numbers(0, 20), 900, 901]);
    expect(cached).toBe(20);
    expect(read(cache, second.slot, 22)).toEqual(second.tokens);
    expect(read(cache, first.slot, 30)).toEqual(first.tokens);
  });

  test('at least one token is left to read, and few in common are not worth it', () => {
    const { begin } = newSlots(3);
    begin(numbers(0, 30));
    expect(begin(numbers(0, 30))[1]).toBe(29);
    expect(begin([...numbers(0, 15), 900])[1]).toBe(0);
  });

  test('what differs in its first token has nothing in common', () => {
    const { begin } = newSlots(3);
    begin(numbers(0, 30));
    expect(begin([900, ...numbers(1, 40)])[1]).toBe(0);
    const { begin: again } = newSlots(3);
    again(numbers(0, 30));
    expect(again([...numbers(0, 16), 900])[1]).toBe(16);
  });

  test('of two that begin alike, the one that nobody owns is taken, without a copy', () => {
    const { slots, begin } = newSlots(3);
    begin(numbers(0, 30));
    const [second] = begin(numbers(0, 30));
    slots.free(second.slot);
    const [third] = begin([...numbers(0, 29), 900]);
    expect(third.slot).toBe(second.slot);
    // Had the first been copied, this would have gone to the slot that was never used.
    const [fourth] = begin(numbers(500, 5));
    expect(slots.isFull).toBe(true);
    expect(fourth.slot).not.toBe(third.slot);
  });

  test('what was given up is the first choice to begin from, and the last to be overwritten', () => {
    const { slots, begin } = newSlots(3);
    const [old] = begin(numbers(0, 30));
    const [other] = begin(numbers(100, 30));
    slots.free(old.slot);
    slots.free(other.slot);
    expect(slots.owned).toBe(0);
    begin(numbers(500, 20)); // takes the slot that was never used
    expect(begin(numbers(0, 40))[1]).toBe(30);
    expect(begin(numbers(100, 40))[1]).toBe(30);
    expect(slots.isFull).toBe(true);
  });

  test('whatever comes and goes, the owned stand first and each finds its own keys', () => {
    const { cache, slots, begin } = newSlots(6);
    const random = stream({ seed: 1, purpose: 'test.slots' });
    const open: Owner[] = [];
    let reused = 0;
    for (let round = 0; round < 400; round++) {
      if (open.length < 6 && random.below(2) === 0) {
        const base = 1000 * random.below(3);
        const [owner, cached] = begin([
          ...numbers(base, 16 + random.below(30)),
          ...numbers(9000 + round, 2),
        ]);
        if (cached > 0) reused++;
        open.push(owner);
      } else if (open.length > 0) {
        const [gone] = open.splice(random.below(open.length), 1) as [Owner];
        slots.free(gone.slot);
      }
      expect(open.map(({ slot }) => slot).sort()).toEqual(numbers(0, open.length));
      for (const { slot, tokens } of open) {
        expect(slots.contentOf(slot)).toEqual(tokens);
        expect(read(cache, slot, tokens.length)).toEqual(tokens);
      }
    }
    expect(reused).toBeGreaterThan(50);
  });
});
