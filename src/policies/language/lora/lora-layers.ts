import type { Node, Shape } from '../../../autodiff/graph';
import type { GraphBuilder } from '../../../autodiff/graph-builder';
import { sizeOf } from '../../../autodiff/graph';
import { IntegrityError } from '../../../errors';
import { countedDropout } from '../../../nn/counted-dropout';
import { stream } from '../../../rl/counter-rng';
import type { LanguageConfig } from '../language-config';
import { plainLinear, type Linear } from '../network';
import { linearLayers } from '../parameters';
import { loraScale, type LoraConfig } from './lora-config';

/** PEFT's name of an adapter's tensor, in its files. */
export const loraTensor = (layer: string, which: 'A' | 'B'): string =>
  `base_model.model.${layer}.lora_${which}.weight`;

/** Shapes of an adapter's tensors by PEFT's names: A is [r, in], B is [out, r]. */
export function loraShapes(
  model: LanguageConfig,
  { rank, targets }: LoraConfig,
): Record<string, Shape> {
  const layers = new Map(linearLayers(model).map((layer) => [layer.name, layer]));
  const shapes: Record<string, Shape> = {};
  for (const target of targets) {
    const layer = layers.get(target);
    if (layer === undefined) {
      throw new IntegrityError('an adapter has a layer that its model does not have', {
        context: { layer: target },
      });
    }
    shapes[loraTensor(target, 'A')] = [rank, layer.inputs];
    shapes[loraTensor(target, 'B')] = [layer.outputs, rank];
  }
  return shapes;
}

/**
 * y = W·x + bias + scale · B·(A·dropout(x)) for adapted layers, the plain product for all others.
 *
 * @param parameters those of the model and of the adapter, by name.
 * @param dropoutKeys int64 [rows, 1]: a number for each row of x; null, and nothing is left out, as outside of training.
 */
export function loraLinear(
  b: GraphBuilder,
  parameters: Readonly<Record<string, Node>>,
  lora: LoraConfig,
  dropoutKeys: Node | null = null,
): Linear {
  const plain = plainLinear(b, parameters);
  const targets = new Set(lora.targets);
  const scale = loraScale(lora);
  return (name, x, add) => {
    const y = plain(name, x, add);
    if (!targets.has(name)) return y;
    const kept =
      dropoutKeys === null || lora.dropout === 0
        ? x
        : countedDropout(b, x, { rowKeys: dropoutKeys, layer: name, rate: lora.dropout });
    const low = b.gemm(kept, parameters[loraTensor(name, 'A')] as Node, { transB: true });
    const up = parameters[loraTensor(name, 'B')] as Node;
    return b.gemm(b.scale(low, scale), up, { transB: true, add: y });
  };
}

/** An adapter that changes nothing yet: B is 0, and A uniform in ±1/√in (PEFT's kaiming_uniform with a = √5). */
export function initialLora(
  model: LanguageConfig,
  lora: LoraConfig,
  seed: number,
): Record<string, Float32Array> {
  return Object.fromEntries(
    Object.entries(loraShapes(model, lora)).map(([name, shape]) => {
      const values = new Float32Array(sizeOf(shape));
      if (name.endsWith('.lora_A.weight')) {
        const bound = 1 / Math.sqrt(shape[1] as number);
        const random = stream({ seed, purpose: 'language.lora', task: name });
        for (let i = 0; i < values.length; i++) values[i] = (2 * random.next() - 1) * bound;
      }
      return [name, values];
    }),
  );
}

/**
 * A layer's weight with its adapter in it: W + scale · B·A, summed in float64.
 *
 * @param weight [out, in]; it is changed. @param a [rank, in]. @param up B, [out, rank].
 */
export function mergeLayer(
  lora: LoraConfig,
  weight: Float32Array,
  a: Float32Array,
  up: Float32Array,
): Float32Array {
  const { rank } = lora;
  const scale = loraScale(lora);
  const inputs = a.length / rank;
  const row = new Float64Array(inputs);
  for (let o = 0; o < weight.length / inputs; o++) {
    row.fill(0);
    for (let r = 0; r < rank; r++) {
      const factor = scale * (up[o * rank + r] as number);
      for (let i = 0; i < inputs; i++) {
        row[i] = (row[i] as number) + factor * (a[r * inputs + i] as number);
      }
    }
    for (let i = 0; i < inputs; i++) {
      weight[o * inputs + i] = (weight[o * inputs + i] as number) + (row[i] as number);
    }
  }
  return weight;
}
