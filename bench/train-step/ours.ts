import { createInThreadWorkspace } from '../../src/adapters/ort/in-thread-workspace';
import { createThreadWorkspace } from '../../src/adapters/ort/thread-workspace';
import { GraphBuilder } from '../../src/autodiff/graph-builder';
import { emitModel } from '../../src/onnx/emit';
import {
  decayedParameters,
  initialParameters,
  parameterCount,
  parameterShapes,
} from '../../src/policies/language/parameters';
import { rotaryTables } from '../../src/policies/language/rope';
import {
  createTrainingSteps,
  type TrainingSteps,
} from '../../src/policies/language/training/training-steps';
import { supervised } from '../../src/policies/language/training/supervised';
import { configOf, type Size } from '../language/sizes';
import { answerParent, isForked, peakRssMb, startFork } from '../support/fork';
import { batchOf, type Mix } from './batch';

// Ratchet's side, in a process of its own: its peak memory is that of the training alone.

export interface Started {
  readonly params: number;
}
export interface Stepped {
  /** Of each step. */
  readonly ms: readonly number[];
  readonly peakRssMb: number;
}
type Ask =
  | {
      readonly type: 'start';
      readonly size: Size;
      readonly mix: Mix;
      readonly threads: number;
    }
  | { readonly type: 'steps'; readonly n: number }
  | { readonly type: 'peak'; readonly threads: number };

export interface Ours {
  start(size: Size, mix: Mix, threads: number): Promise<Started>;
  steps(n: number): Promise<Stepped>;
  /** GFLOP/s of a product of two 1024 x 1024 matrices. */
  peak(threads: number): Promise<number>;
  readonly close: () => void;
}

export function startOurs(): Ours {
  const { ask, close } = startFork<Ask>(__filename);
  return {
    start: async (size, mix, threads) =>
      (await ask({ type: 'start', size, mix, threads })) as Started,
    steps: async (n) => (await ask({ type: 'steps', n })) as Stepped,
    peak: async (threads) => (await ask({ type: 'peak', threads })) as number,
    close,
  };
}

function work(): void {
  let one: (() => Promise<unknown>) | null = null;
  const answer = async (message: Ask): Promise<unknown> => {
    switch (message.type) {
      case 'start': {
        const config = configOf(message.size);
        const shapes = parameterShapes(config);
        const stepper: TrainingSteps = createTrainingSteps(
          Array.from({ length: message.threads }, () => createThreadWorkspace({ threads: 1 })),
          {
            model: { config, trainable: shapes },
            rope: rotaryTables(config, config.maxPositions),
            loss: supervised,
            optimizer: { weightDecay: 0.01, decayed: decayedParameters(shapes), maxGradNorm: 1 },
          },
        );
        await stepper.load(initialParameters(config, 0));
        const batch = batchOf(message.mix);
        one = () => stepper.optimizerStep(batch, { learningRate: 1e-3 });
        await one();
        await one();
        return { params: parameterCount(config) } satisfies Started;
      }
      case 'steps': {
        const ms = [];
        for (let i = 0; i < message.n; i++) {
          const begin = performance.now();
          await one?.();
          ms.push(performance.now() - begin);
        }
        return { ms, peakRssMb: peakRssMb() } satisfies Stepped;
      }
      case 'peak':
        return matrixProductPeak(message.threads);
    }
  };
  answerParent(answer);
}

async function matrixProductPeak(threads: number): Promise<number> {
  const n = 1024;
  const b = new GraphBuilder();
  const product = b.matMul(b.input('x', [n, n]), b.input('y', [n, n]));
  const workspace = createInThreadWorkspace({ threads, allowSpinning: true });
  const matrix = (): { dtype: 'float32'; shape: number[]; data: Float32Array } => ({
    dtype: 'float32',
    shape: [n, n],
    data: new Float32Array(n * n).fill(0.5),
  });
  await workspace.write({ x: matrix(), y: matrix(), z: matrix() });
  const session = await workspace.load(emitModel(b.build({ 'next.z': product })));
  let best = Infinity;
  for (let i = 0; i < 30; i++) {
    const begin = performance.now();
    await session.run({});
    best = Math.min(best, performance.now() - begin);
  }
  await workspace.close();
  return (2 * n ** 3) / best / 1e6;
}

if (isForked(__filename)) work();
