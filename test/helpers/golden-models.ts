import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { LanguageConfig } from '../../src/policies/language/language-config';
import { fromHfConfig } from '../../src/policies/language/hf-config';
import { fromPeftConfig, type LoraConfig } from '../../src/policies/language/lora/lora-config';
import { readSafetensors, type Tensor } from '../../src/storage/safetensors';

// The models of test/goldens/language, with what PyTorch says of them.

const ROOT = join(__dirname, '../goldens/language/models');

export const GOLDEN_MODELS = [
  'llama2',
  'llama3',
  'llama-biased',
  'qwen2',
  'qwen2-yarn',
  'qwen3',
] as const;

export interface AdamWGolden {
  readonly learningRate: number;
  readonly beta1: number;
  readonly beta2: number;
  readonly epsilon: number;
  readonly weightDecay: number;
  readonly maxGradNorm: number;
  readonly decayed: readonly string[];
  readonly losses: readonly number[];
}

export interface GoldenModel {
  readonly folder: string;
  readonly config: LanguageConfig;
  readonly weights: Record<string, Float32Array>;
  /** See make_goldens.py. */
  readonly tensors: ReadonlyMap<string, Tensor>;
  readonly golden: {
    readonly loss: number;
    readonly gradNorm: number;
    readonly gradientSquares: Readonly<Record<string, number>>;
    readonly greedy: readonly { readonly prompt: number[]; readonly generated: number[] }[];
    readonly adamw: AdamWGolden;
    readonly loraLoss?: number;
    readonly loraAdamw?: AdamWGolden;
  };
}

export function goldenModel(name: string): GoldenModel {
  const folder = join(ROOT, name);
  const json = (file: string): unknown => JSON.parse(readFileSync(join(folder, file), 'utf8'));
  const tensorsOf = (file: string): ReadonlyMap<string, Tensor> =>
    readSafetensors(readFileSync(join(folder, file))).tensors;
  const weights = [...tensorsOf('model.safetensors')].map(
    ([parameter, { data }]) => [parameter, Float32Array.from(data as Float32Array)] as const,
  );
  return {
    folder,
    config: fromHfConfig(json('config.json')),
    weights: Object.fromEntries(weights),
    tensors: tensorsOf('golden.safetensors'),
    golden: json('golden.json') as GoldenModel['golden'],
  };
}

/** A golden model's adapter, as PEFT saved it. */
export function goldenAdapter({ folder, config }: GoldenModel): {
  readonly lora: LoraConfig;
  readonly weights: Record<string, Float32Array>;
} {
  const json: unknown = JSON.parse(
    readFileSync(join(folder, 'adapter/adapter_config.json'), 'utf8'),
  );
  const { tensors } = readSafetensors(
    readFileSync(join(folder, 'adapter/adapter_model.safetensors')),
  );
  return {
    lora: fromPeftConfig(json, config),
    weights: Object.fromEntries(
      [...tensors].map(([name, { data }]) => [name, Float32Array.from(data as Float32Array)]),
    ),
  };
}

export function valuesOf({ tensors }: GoldenModel, name: string): Float32Array {
  const tensor = tensors.get(name);
  if (tensor?.dtype !== 'float32') throw new Error(`no float32 golden ${name}`);
  return tensor.data;
}

/** The batch of a golden model: two sequences of 24 tokens. */
export function goldenSequences({ tensors }: GoldenModel): { tokens: number[]; mask: number[] }[] {
  const ids = tensors.get('input_ids');
  const mask = tensors.get('loss_mask');
  if (ids === undefined || mask === undefined) throw new Error('a golden model without a batch');
  const [rows, length] = ids.shape as [number, number];
  return Array.from({ length: rows }, (_, row) => ({
    tokens: Array.from(ids.data.slice(row * length, (row + 1) * length), Number),
    mask: Array.from(mask.data.slice(row * length, (row + 1) * length), Number),
  }));
}

/** The largest |a − b|. */
export function largestDifference(a: ArrayLike<number>, b: ArrayLike<number>): number {
  if (a.length !== b.length) throw new Error(`${a.length} values against ${b.length}`);
  let largest = 0;
  for (let i = 0; i < a.length; i++) {
    largest = Math.max(largest, Math.abs((a[i] as number) - (b[i] as number)));
  }
  return largest;
}
