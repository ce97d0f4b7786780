import { InvalidInputError } from '../../../errors';
import type { Tensor } from '../../../ports/tensor-runtime';
import type { LanguageConfig } from '../language-config';
import { cacheName } from './decoder-graph';

export interface KvCacheSpec {
  readonly config: Pick<LanguageConfig, 'layers' | 'kvHeads' | 'headDim'>;
  /** Sequences that have a place. */
  readonly slots: number;
  /** Positions of a slot that are never exceeded. */
  readonly maxPositions: number;
}

/** The smallest size that is allocated, in positions. */
const SMALLEST = 64;

/**
 * Keys and values of the tokens that were read, float32 [slots, kvHeads, capacity, headDim] per layer. The capacity is that of the
 * longest sequence so far, rounded up to a power of 2: attention reads all of it. Slots that stand side by side are one tensor
 * without a copy, so whoever owns the cache keeps the sequences that run at its start.
 */
export class KvCache {
  readonly slots: number;
  readonly #spec: KvCacheSpec;
  #capacity = 0;
  /** By layer. */
  #keys: Float32Array[] = [];
  #values: Float32Array[] = [];

  constructor(spec: KvCacheSpec) {
    this.slots = spec.slots;
    this.#spec = spec;
    this.reserve(Math.min(SMALLEST, spec.maxPositions));
  }

  get capacity(): number {
    return this.#capacity;
  }

  get sizeBytes(): number {
    return 2 * this.#keys.length * (this.#keys[0]?.byteLength ?? 0);
  }

  /** Makes room for so many positions in each slot. @throws {InvalidInputError} if there is no memory; everything is then as it was. */
  reserve(positions: number): void {
    if (positions <= this.#capacity) return;
    const { config, slots, maxPositions } = this.#spec;
    let capacity = Math.max(this.#capacity, SMALLEST);
    while (capacity < positions) capacity *= 2;
    capacity = Math.min(capacity, Math.max(positions, maxPositions));
    const grow = (old: Float32Array | undefined): Float32Array => {
      const grown = allocate(slots * config.kvHeads * capacity * config.headDim);
      if (old === undefined) return grown;
      const [from, to] = [this.#capacity * config.headDim, capacity * config.headDim];
      for (let i = 0; i < slots * config.kvHeads; i++) {
        grown.set(old.subarray(i * from, (i + 1) * from), i * to);
      }
      return grown;
    };
    const layers = Array.from({ length: config.layers }, (_, i) => i);
    const keys = layers.map((i) => grow(this.#keys[i]));
    const values = layers.map((i) => grow(this.#values[i]));
    [this.#keys, this.#values, this.#capacity] = [keys, values, capacity];
  }

  /** `rows` slots from `slot` on, as inputs of a decoder's graph. No copies: good until the next `reserve`. */
  tensors(slot: number, rows: number): Record<string, Tensor> {
    const { kvHeads, headDim } = this.#spec.config;
    const shape = [rows, kvHeads, this.#capacity, headDim];
    const size = kvHeads * this.#capacity * headDim;
    const view = (data: Float32Array): Tensor => ({
      dtype: 'float32',
      shape,
      data: data.subarray(slot * size, (slot + rows) * size),
    });
    return Object.fromEntries(
      this.#keys.flatMap((keys, layer) => [
        [cacheName(layer, 'k'), view(keys)],
        [cacheName(layer, 'v'), view(this.#values[layer] as Float32Array)],
      ]),
    );
  }

  /**
   * Puts new tokens of one sequence into its slot.
   *
   * @param source float32 [rows, kvHeads, length, headDim] of a decoder's run, of which the first `count` positions of `row` are taken.
   */
  write(
    { slot, position, layer, which }: CachePlace,
    source: Float32Array,
    {
      row,
      count,
      length,
    }: { readonly row: number; readonly count: number; readonly length: number },
  ): void {
    const { kvHeads, headDim } = this.#spec.config;
    const target = (which === 'k' ? this.#keys : this.#values)[layer] as Float32Array;
    for (let head = 0; head < kvHeads; head++) {
      const from = (row * kvHeads + head) * length * headDim;
      const to = ((slot * kvHeads + head) * this.#capacity + position) * headDim;
      target.set(source.subarray(from, from + count * headDim), to);
    }
  }

  /** Copies the first positions of one slot to another. */
  copy(from: number, to: number, positions: number): void {
    this.#eachHead(from, to, positions, (data, a, b, size) => data.copyWithin(b, a, a + size));
  }

  /** Exchanges the first positions of two slots. */
  swap(one: number, other: number, positions: number): void {
    const spare = new Float32Array(positions * this.#spec.config.headDim);
    this.#eachHead(one, other, positions, (data, a, b, size) => {
      spare.set(data.subarray(a, a + size));
      data.copyWithin(a, b, b + size);
      data.set(spare, b);
    });
  }

  #eachHead(
    one: number,
    other: number,
    positions: number,
    visit: (data: Float32Array, from: number, to: number, size: number) => void,
  ): void {
    const { kvHeads, headDim } = this.#spec.config;
    const stride = this.#capacity * headDim;
    for (const data of [...this.#keys, ...this.#values]) {
      for (let head = 0; head < kvHeads; head++) {
        visit(
          data,
          (one * kvHeads + head) * stride,
          (other * kvHeads + head) * stride,
          positions * headDim,
        );
      }
    }
  }
}

interface CachePlace {
  readonly slot: number;
  readonly position: number;
  readonly layer: number;
  readonly which: 'k' | 'v';
}

function allocate(values: number): Float32Array {
  try {
    return new Float32Array(values);
  } catch (cause) {
    throw new InvalidInputError(
      'no memory for the keys and values: fewer sequences at once, or a shorter context, need less',
      { context: { megabytes: Math.ceil((values * 4) / 1e6) }, cause },
    );
  }
}
