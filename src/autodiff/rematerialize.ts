import type { Node } from './graph';
import { withGradient } from './custom-gradient';
import { isFloat, sizeOf } from './graph';
import { pullback } from './grad';
import type { GraphBuilder } from './graph-builder';

/**
 * Computes `block(inputs)` now, and once more for its gradient, so that nothing inside the block has to be kept until then:
 * memory for time. (Rematerialization; PyTorch calls it checkpointing; Chen et al. 2016, "Training deep nets with sublinear memory cost", arXiv:1604.06174.)
 *
 * Values and gradients are those of the block itself, but for the sign of a zero that enters it.
 *
 * @param inputs all float nodes that the block uses, its parameters among them; see withGradient.
 * @param block appends nodes to the builder; called again whenever a gradient is taken, so it must do the same each time.
 */
export function rematerialize<T extends readonly Node[]>(
  b: GraphBuilder,
  inputs: T,
  block: (...inputs: T) => Node,
): Node {
  const output = block(...inputs);
  return withGradient(output, inputs, (dy) => {
    const delayed = inputs.map((input) =>
      isFloat(input.dtype) && input.op !== 'Input' ? delay(b, input, dy) : input,
    ) as unknown as T;
    const floats = delayed.filter(({ dtype }) => isFloat(dtype));
    const cotangents = pullback(b, block(...delayed), dy, floats);
    return delayed.map((input) => cotangents[floats.indexOf(input)] ?? null);
  });
}

/**
 * x, but not before dy is there: x + 0 · dy[0]. Without it ONNX Runtime would see that the block is computed twice from the same
 * operands, and keep the first results after all (seen on 1.30).
 */
function delay(b: GraphBuilder, x: Node, dy: Node): Node {
  const flat = b.reshape(dy, [sizeOf(dy.shape)]);
  const first = b.reshape(b.slice(flat, 0, 0, 1), []);
  return b.addScalar(x, b.scale(first, 0));
}
