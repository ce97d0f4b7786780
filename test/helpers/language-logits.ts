import type { Node, Shape } from '../../src/autodiff/graph';
import { GraphBuilder } from '../../src/autodiff/graph-builder';
import { emitModel } from '../../src/onnx/emit';
import type { LanguageConfig } from '../../src/policies/language/language-config';
import { hiddenStates, packedAttention, type Linear } from '../../src/policies/language/network';
import {
  EMBEDDING,
  OUTPUT_EMBEDDING,
  parameterShapes,
} from '../../src/policies/language/parameters';
import { rotaryTables } from '../../src/policies/language/rope';
import type { Tensor, TensorRuntime } from '../../src/ports/tensor-runtime';

type Parameters = Readonly<Record<string, Node>>;

/** Logits of whole sequences of one length, float32 [rows, length, V]: weights are constants of the graph, nothing is cached. */
export async function languageLogits(
  runtime: TensorRuntime,
  config: LanguageConfig,
  weights: Readonly<Record<string, Float32Array>>,
  sequences: readonly (readonly number[])[],
  {
    shapes = parameterShapes(config),
    linear,
  }: {
    readonly shapes?: Readonly<Record<string, Shape>>;
    readonly linear?: (b: GraphBuilder, parameters: Parameters) => Linear;
  } = {},
): Promise<Float32Array> {
  const [rows, length] = [sequences.length, sequences[0]?.length as number];
  const b = new GraphBuilder();
  const parameters: Parameters = Object.fromEntries(
    Object.entries(shapes).map(([name, shape]) => [
      name,
      b.constant(weights[name] as Float32Array, shape),
    ]),
  );
  const index = (name: string): Node => b.input(name, [rows, length], 'int64');
  const batch = {
    tokens: index('tokens'),
    positions: index('positions'),
  };
  const attention = packedAttention(b, index('segments'));
  const half = config.headDim / 2;
  const { cos, sin } = rotaryTables(config, length);
  const rope = { cos: b.constant(cos, [length, half]), sin: b.constant(sin, [length, half]) };
  const hidden = hiddenStates(
    b,
    config,
    parameters,
    batch,
    rope,
    attention,
    linear?.(b, parameters),
  );
  const output = parameters[config.tieEmbeddings ? EMBEDDING : OUTPUT_EMBEDDING] as Node;
  const graph = b.build({ logits: b.gemm(hidden, output, { transB: true }) });
  const session = await runtime.load(emitModel(graph));
  const int64 = (values: number[]): Tensor => ({
    dtype: 'int64',
    shape: [rows, length],
    data: BigInt64Array.from(values, BigInt),
  });
  const { logits } = await session.run({
    tokens: int64(sequences.flat()),
    positions: int64(sequences.flatMap((tokens) => [...tokens.keys()])),
    segments: int64(sequences.flatMap((tokens) => tokens.map(() => 0))),
  });
  await session.release();
  return logits?.data as Float32Array;
}
