import { fold } from '../../../autodiff/fold';
import { accumulate, grad } from '../../../autodiff/grad';
import type { Graph, Node, Shape } from '../../../autodiff/graph';
import { GraphBuilder } from '../../../autodiff/graph-builder';
import { NEXT, verifyNext } from '../../../autodiff/in-place';
import { GRADIENT } from '../../../optim/update-graph';
import { selectedLogProbs, type TokenDistribution } from '../../../nn/selected-log-probs';
import type { LanguageConfig } from '../language-config';
import { hiddenStates, packedAttention, type Linear } from '../network';
import { EMBEDDING, OUTPUT_EMBEDDING } from '../parameters';

/** What a loss is made of: one row per token that is trained on. */
export interface LossInput extends TokenDistribution {
  /** What the token is predicted from: the network's last hidden state, [targets, hiddenSize]. */
  readonly hidden: Node;
  /** Those of the model, and what else learns, by name. */
  readonly parameters: Readonly<Record<string, Node>>;
  /** By name, [targets]; see TokenLoss.inputs. */
  readonly inputs: Readonly<Record<string, Node>>;
}

/** A loss over tokens: the plug of a training step. */
export interface TokenLoss {
  /** What it is fed per token, by name, float32 [targets] each; `weights` among them, which is 0 for padding. */
  readonly inputs: readonly string[];
  /**
   * @returns the loss of each token, [targets], already weighted; and sums over the tokens by name. The step adds them up over the
   *   whole global batch and divides by its one denominator.
   */
  build(
    b: GraphBuilder,
    input: LossInput,
  ): { readonly perToken: Node; readonly sums?: Readonly<Record<string, Node>> };
}

/** The sizes that a graph is built for. */
export interface MicroBatchShape {
  readonly rows: number;
  readonly length: number;
  /** Tokens that are trained on. */
  readonly targets: number;
}

/** Which parameters there are, and which of them learn. Names are Hugging Face's, or an adapter's. */
export interface TrainedModel {
  readonly config: LanguageConfig;
  readonly trainable: Readonly<Record<string, Shape>>;
  /** Needed, and left alone. @default none */
  readonly frozen?: Readonly<Record<string, Shape>>;
  /** How linear layers are applied, such as with an adapter. @default the plain product */
  readonly linear?: (
    b: GraphBuilder,
    parameters: Readonly<Record<string, Node>>,
    /** A number for each token, int64 [rows · length, 1]; where the model leaves values out. */
    dropoutKeys: Node | null,
  ) => Linear;
  /** Whether it leaves values out in training: each step is then told what to draw from. @default false */
  readonly hasDropout?: boolean;
}

export const DROPOUT_KEYS = 'dropoutKeys';

export interface AccumulateSpec {
  readonly shape: MicroBatchShape;
  readonly model: TrainedModel;
  readonly rope: { readonly cos: Float32Array; readonly sin: Float32Array };
  readonly loss: TokenLoss;
}

/**
 * Forward and backward of one micro-batch, as one graph: adds its gradients to those of the micro-batches before it.
 *
 * inputs   each parameter w; for each that learns the sum so far, `w.gradient`; `tokens`, `positions`, `segments` int64 [rows, length];
 *          `at` int64 [targets]: where in the batch, row by row, a trained token is predicted from (the token before it);
 *          `targets` int64 [targets]: the token itself; `denominator`, of rank 0; the loss's own inputs [targets]; with dropout,
 *          `dropoutKeys` int64 [rows · length, 1]
 * outputs  `next.w.gradient`; `loss`, of rank 0: this micro-batch's share of the global mean; the loss's sums
 */
export function buildAccumulateGraph({
  model: { config, trainable, frozen = {}, linear, hasDropout = false },
  shape: { rows, length, targets },
  rope,
  loss,
}: AccumulateSpec): Graph {
  const b = new GraphBuilder();
  const names = Object.keys(trainable);
  const values = names.map((name) => b.input(name, trainable[name] as Shape));
  const before = names.map((name) => b.input(name + GRADIENT, trainable[name] as Shape));
  const rest = Object.entries(frozen).map(([name, shape]) => b.input(name, shape));
  const index = (name: string, size: Shape): Node => b.input(name, size, 'int64');
  const batch = {
    tokens: index('tokens', [rows, length]),
    positions: index('positions', [rows, length]),
  };
  const segments = index('segments', [rows, length]);
  const at = index('at', [targets]);
  const wanted = index('targets', [targets]);
  const denominator = b.input('denominator', []);
  const inputs = Object.fromEntries(loss.inputs.map((name) => [name, b.input(name, [targets])]));

  const byName = Object.fromEntries([...values, ...rest].map((node) => [node.name, node]));
  const half = config.headDim / 2;
  const table = (data: Float32Array): Node => b.constant(data, [data.length / half, half]);
  const hidden = hiddenStates(
    b,
    config,
    byName,
    batch,
    {
      cos: table(rope.cos),
      sin: table(rope.sin),
    },
    packedAttention(b, segments),
    linear?.(b, byName, hasDropout ? index(DROPOUT_KEYS, [rows * length, 1]) : null),
  );
  const output = byName[config.tieEmbeddings ? EMBEDDING : OUTPUT_EMBEDDING] as Node;
  const atTargets = b.gather(hidden, at);
  const { perToken, sums = {} } = loss.build(b, {
    ...selectedLogProbs(b, atTargets, output, wanted),
    ...{ hidden: atTargets, parameters: byName, inputs },
  });
  const share = b.div(b.sumAll(perToken), denominator);
  const gradients = grad(b, share, values);
  const next = Object.fromEntries(
    names.map((name, i) => [
      NEXT + name + GRADIENT,
      accumulate(b, before[i] as Node, gradients[i] as Node),
    ]),
  );
  const graph = fold(b.build({ ...next, loss: share, ...sums }));
  verifyNext(graph);
  return graph;
}
