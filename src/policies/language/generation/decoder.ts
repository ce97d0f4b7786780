import { InvalidInputError, NumericalError } from '../../../errors';
import { emitModel } from '../../../onnx/emit';
import type { Tensor } from '../../../ports/tensor-runtime';
import type { TensorWorkspace, WorkspaceSession } from '../../../ports/tensor-workspace';
import type { LanguageConfig } from '../language-config';
import { rotaryTables } from '../rope';
import { buildDecoderGraph, COS, newName, SIN, type DecoderShape } from './decoder-graph';
import { KvCache } from './kv-cache';

/** New tokens of one sequence. */
export interface DecoderRow {
  /** Where the sequence's keys and values are. */
  readonly slot: number;
  /** How many tokens are there already. */
  readonly past: number;
  /** At least one. */
  readonly tokens: readonly number[];
}

export interface DecoderSpec {
  readonly config: LanguageConfig;
  /** Sequences that have a place in the cache. */
  readonly slots: number;
  /** Tokens that a sequence may have. */
  readonly contextLength: number;
}

/** What comes next in a sequence, by the model itself. Good until the decoder's next run. */
export interface NextToken {
  /** float32 [vocabSize]. */
  readonly logits: Float32Array;
  /** ln Σ exp(logits): what is taken off for log-probabilities. */
  readonly normalizer: number;
}

/** Runs a network over sequences whose keys and values it keeps. */
export interface Decoder {
  readonly cache: KvCache;
  /**
   * Reads new tokens and puts their keys and values into the cache.
   *
   * @param rows of sequences that have nothing in the cache yet; or in consecutive slots, ascending.
   * @returns one for each row.
   * @throws {NumericalError} if a logit is not finite; {InvalidInputError} if there is no memory.
   */
  read(rows: readonly DecoderRow[]): Promise<readonly NextToken[]>;
  release(): Promise<void>;
}

/**
 * @param workspace one on the calling thread, which holds the parameters: the cache is handed to it without a copy.
 */
export async function createDecoder(
  workspace: TensorWorkspace,
  { config, slots, contextLength }: DecoderSpec,
): Promise<Decoder> {
  const { cos, sin } = rotaryTables(config, contextLength);
  const shape = [contextLength, config.headDim / 2];
  await workspace.write({
    [COS]: { dtype: 'float32', shape, data: cos },
    [SIN]: { dtype: 'float32', shape, data: sin },
  });
  const cache = new KvCache({ config, slots, maxPositions: contextLength });
  const sessions = new Map<string, Promise<WorkspaceSession>>();

  function sessionOf(size: DecoderShape): Promise<WorkspaceSession> {
    const key = `${size.rows}x${size.length}x${size.capacity}`;
    let session = sessions.get(key);
    if (session === undefined) {
      const graph = buildDecoderGraph(config, size, contextLength);
      session = workspace.load(emitModel(graph), { name: `decoder ${key}` });
      sessions.set(key, session);
    }
    return session;
  }

  async function makeRoom(positions: number): Promise<void> {
    const before = cache.capacity;
    cache.reserve(positions);
    if (cache.capacity === before) return;
    for (const [key, session] of sessions) {
      if (!key.endsWith(`x${before}`)) continue;
      sessions.delete(key); // of a size that does not come again
      await (await session).release();
    }
  }

  return {
    cache,
    async read(rows) {
      const longest = Math.max(...rows.map(({ tokens }) => tokens.length));
      const isFirst = rows.every(({ past }) => past === 0);
      await makeRoom(Math.max(...rows.map(({ past, tokens }) => past + tokens.length)));
      const first = rows[0]?.slot ?? 0;
      if (!isFirst) checkConsecutive(rows);
      const size: DecoderShape = {
        rows: isFirst ? rows.length : Math.min(sizeAbove(rows.length), slots - first),
        length: sizeAbove(longest),
        capacity: isFirst ? 0 : cache.capacity,
      };
      const session = await sessionOf(size);
      const outputs = await session.run({
        ...feedsOf(rows, size, contextLength),
        ...(isFirst ? {} : cache.tensors(first, size.rows)),
      });
      for (let layer = 0; layer < config.layers; layer++) {
        for (const which of ['k', 'v'] as const) {
          const source = (outputs[newName(layer, which)] as Tensor).data as Float32Array;
          rows.forEach(({ slot, past, tokens }, row) => {
            const counts = { row, count: tokens.length, length: size.length };
            cache.write({ slot, position: past, layer, which }, source, counts);
          });
        }
      }
      const logits = (outputs['logits'] as Tensor).data as Float32Array;
      const normalizers = (outputs['normalizers'] as Tensor).data as Float32Array;
      return rows.map((_, row) => ({
        logits: logits.subarray(row * config.vocabSize, (row + 1) * config.vocabSize),
        normalizer: finite(normalizers[row] as number),
      }));
    },
    async release() {
      const open = [...sessions.values()];
      sessions.clear();
      for (const session of open) await (await session).release();
    },
  };
}

/** 1, 2, 3, 4, 6, 8, 12, 16, 24, …: at most half as large again, so that a few graphs serve all sizes. */
export function sizeAbove(n: number): number {
  let size = 1;
  while (size < n) {
    const between = size + size / 2;
    if (size >= 2 && between >= n) return between;
    size *= 2;
  }
  return size;
}

function feedsOf(
  rows: readonly DecoderRow[],
  size: DecoderShape,
  contextLength: number,
): Record<string, Tensor> {
  const { length, capacity } = size;
  const int64 = (n: number): BigInt64Array => new BigInt64Array(n);
  const [tokens, positions] = [int64(size.rows * length), int64(size.rows * length)];
  const [last, lengths] = [int64(size.rows), int64(size.rows)];
  rows.forEach((row, r) => {
    for (let i = 0; i < length; i++) {
      tokens[r * length + i] = BigInt(row.tokens[i] ?? 0);
      positions[r * length + i] = BigInt(Math.min(row.past + i, contextLength - 1)); // padding may lie behind
    }
    last[r] = BigInt(r * length + row.tokens.length - 1);
    lengths[r] = BigInt(row.past);
  });
  const tensor = (shape: readonly number[], data: BigInt64Array): Tensor => ({
    dtype: 'int64',
    shape,
    data,
  });
  return {
    tokens: tensor([size.rows, length], tokens),
    positions: tensor([size.rows, length], positions),
    ...(length === 1 ? {} : { last: tensor([size.rows], last) }),
    ...(capacity === 0 ? {} : { lengths: tensor([size.rows], lengths) }),
  };
}

function checkConsecutive(rows: readonly DecoderRow[]): void {
  rows.forEach(({ slot }, i) => {
    const expected = (rows[0]?.slot as number) + i;
    if (slot === expected) return;
    throw new InvalidInputError('sequences that go on expected consecutive slots', {
      context: { expected, got: slot },
    });
  });
}

/** One logit that is not a number makes their sum none. */
function finite(normalizer: number): number {
  if (Number.isFinite(normalizer)) return normalizer;
  throw new NumericalError('the logits are not finite: the weights are damaged, or diverged');
}
