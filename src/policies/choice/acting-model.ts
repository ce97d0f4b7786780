import type { Node } from '../../autodiff/graph';
import { GraphBuilder } from '../../autodiff/graph-builder';
import { emitModel } from '../../onnx/emit';
import type { TensorRuntime } from '../../ports/tensor-runtime';
import type { ChoiceConfig } from '../../schemas/choice-config';
import type { Features } from './features';
import { createMicroBatcher } from './micro-batcher';
import { logitsOf } from './network';
import { DENSE_NAMES, parameterShapes, type DenseName, type Parameters } from './parameters';

/** A checkpoint that is ready to act. */
export interface ActingModel {
  readonly config: ChoiceConfig;
  /** @returns unmasked logits, float32 [arms]; the same bits whoever else asks at the same time. */
  logits(text: Features): Promise<Float32Array>;
  dispose(): Promise<void>;
}

/** Rows of every run, used or not: kernels may add up in another order for another number of rows. */
const BATCH = 32;

/**
 * Loads the network, its parameters inside the graph. The embedding table stays in TypeScript: a text uses some eighty rows
 * of it, and adding those up here, in their order, is exact and cheap.
 */
export async function createActingModel(
  runtime: TensorRuntime,
  config: ChoiceConfig,
  parameters: Parameters,
): Promise<ActingModel> {
  const width = config.network.embedding;
  const arms = config.arms.length;
  const shapes = parameterShapes(config);
  const b = new GraphBuilder();
  const constants = Object.fromEntries(
    DENSE_NAMES.map((name) => [name, b.constant(parameters[name], shapes[name], 'float32', name)]),
  ) as Record<DenseName, Node>;
  const logits = logitsOf(b, constants, b.input('bag', [BATCH, width]), null);
  const session = await runtime.load(emitModel(b.build({ logits })), { name: 'choice policy' });
  const table = parameters['embedding.weight'];

  const batcher = createMicroBatcher<Features, Float32Array>(BATCH, async (texts) => {
    const data = new Float32Array(BATCH * width);
    for (const [i, text] of texts.entries()) addBag(table, width, text, data, i * width);
    const results = await session.run({ bag: { dtype: 'float32', shape: [BATCH, width], data } });
    const all = results['logits']?.data as Float32Array;
    return texts.map((_, i) => all.slice(i * arms, (i + 1) * arms));
  });
  return { config, logits: (text) => batcher.submit(text), dispose: () => session.release() };
}

/** out[at, at + width) += Σ weight · row, rounded to float32 after every addition, in the order of the rows. */
function addBag(
  table: Float32Array,
  width: number,
  text: Features,
  out: Float32Array,
  at: number,
): void {
  for (let k = 0; k < text.rows.length; k++) {
    const start = (text.rows[k] as number) * width;
    const weight = text.weights[k] as number;
    for (let j = 0; j < width; j++) {
      out[at + j] = (out[at + j] as number) + weight * (table[start + j] as number);
    }
  }
}
