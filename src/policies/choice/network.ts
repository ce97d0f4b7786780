import type { Node } from '../../autodiff/graph';
import type { GraphBuilder } from '../../autodiff/graph-builder';
import { dropout } from '../../nn/dropout';
import { gelu } from '../../nn/gelu';
import { linear } from '../../nn/linear';
import type { DenseName } from './parameters';

/** Bags have Euclidean norm 1 over embeddings of about 0.1: this brings the network's input near unit scale. */
const INPUT_SCALE = 2;

/**
 * The network of a choice policy, one row per text:
 *
 *   h = 2 · bag;   logits = W_output · (mask ∘ gelu(W_hidden · h + b_hidden)) + b_output + W_skip · h.
 *
 * The linear path past the hidden layer is what few demonstrations can fill; the hidden layer adds what it cannot.
 *
 * @param bag float32 [B, embedding]; Σ weight · row of the embedding table.
 * @param hiddenMask float32 [B, hidden]; the dropout mask, or null when acting.
 * @returns logits, float32 [B, arms]; not masked.
 */
export function logitsOf(
  b: GraphBuilder,
  parameters: Readonly<Record<DenseName, Node>>,
  bag: Node,
  hiddenMask: Node | null,
): Node {
  const h = b.scale(bag, INPUT_SCALE);
  const hidden = gelu(b, linear(b, h, parameters['hidden.weight'], parameters['hidden.bias']));
  const kept = hiddenMask === null ? hidden : dropout(b, hidden, hiddenMask);
  const deep = linear(b, kept, parameters['output.weight'], parameters['output.bias']);
  return b.add(deep, linear(b, h, parameters['skip.weight']));
}
