/** @jest-environment ./test/gradcheck/ort-environment.cjs */
import { createInThreadRuntime } from '../../../src/adapters/ort/in-thread-runtime';
import type { Node } from '../../../src/autodiff/graph';
import { ShapeError, InvalidInputError } from '../../../src/errors';
import { emitModel } from '../../../src/onnx/emit';
import type { AdamOptions } from '../../../src/optim/adam';
import type { TrainStep, TrainStepSpec } from '../../../src/optim/train-step';
import { buildTrainStep } from '../../../src/optim/train-step';
import type { Tensor, TensorSession } from '../../../src/ports/tensor-runtime';
import { largestError, uniform } from '../../gradcheck/check-gradient';

const ROWS = 6;
const runtime = createInThreadRuntime({ threads: 2 });
afterAll(() => runtime.close());

/** Least squares: mean (x·w + bias − y)², with a parameter that the loss does not use. */
const leastSquares = (
  optimizer: TrainStepSpec<'w' | 'bias' | 'idle', never>['optimizer'] = {},
): TrainStep<'w' | 'bias' | 'idle'> =>
  buildTrainStep({
    params: { w: [3, 2], bias: [1, 2], idle: [2] },
    batchInputs: { x: { shape: [ROWS, 3] }, y: { shape: [ROWS, 2] } },
    loss: (b, { w, bias }, { x, y }) => {
      const error = b.sub(b.add(b.matMul(x, w), bias), y);
      return {
        loss: b.meanAll(b.square(error)),
        metrics: { largest: b.reduceMax(b.abs(error), [0, 1], { keepdims: false }) },
      };
    },
    optimizer,
  });

const f32 = (shape: readonly number[], values: ArrayLike<number>): Tensor => ({
  dtype: 'float32',
  shape,
  data: Float32Array.from(values),
});

function batch(step: number): { x: number[]; y: number[] } {
  return { x: uniform(`x${step}`, [ROWS, 3], [-1, 1]), y: uniform(`y${step}`, [ROWS, 2], [-1, 1]) };
}

const START = { w: uniform('w', [3, 2], [-1, 1]), bias: [0, 0], idle: [3, -4] };

function firstFeeds({ state }: TrainStep<'w' | 'bias' | 'idle'>): Record<string, Tensor> {
  const feeds: Record<string, Tensor> = {
    step: { dtype: 'int64', shape: [], data: BigInt64Array.of(0n) },
    learningRate: f32([], [0.05]),
  };
  for (const [name, { value, m, v }] of Object.entries(state)) {
    feeds[value.input] = f32(value.shape, START[name as keyof typeof START]);
    for (const moment of [m, v])
      feeds[moment.input] = f32(
        moment.shape,
        value.shape.length === 1 ? [0, 0] : Array<number>((value.shape[0] as number) * 2).fill(0),
      );
  }
  return feeds;
}

/** The same training in float64, as in the papers: gradients by hand, one element at a time. */
class ReferenceTraining {
  readonly values = { w: [...START.w], bias: [...START.bias], idle: [...START.idle] };
  readonly #moments = { w: this.#zeros(6), bias: this.#zeros(2), idle: this.#zeros(2) };
  #t = 0;
  constructor(
    readonly options: Required<AdamOptions> & {
      readonly decayed: readonly string[];
      readonly maxGradNorm: number | null;
    },
  ) {}
  #zeros(n: number): { m: number[]; v: number[] } {
    return { m: Array<number>(n).fill(0), v: Array<number>(n).fill(0) };
  }

  update(
    { x, y }: { x: number[]; y: number[] },
    learningRate: number,
  ): { loss: number; gradNorm: number } {
    const { beta1, beta2, epsilon, weightDecay, decayed, maxGradNorm } = this.options;
    const gradients = { w: Array<number>(6).fill(0), bias: [0, 0], idle: [0, 0] };
    let loss = 0;
    const { w, bias } = this.values;
    for (let row = 0; row < ROWS; row += 1) {
      for (let column = 0; column < 2; column += 1) {
        let error = (bias[column] as number) - (y[row * 2 + column] as number);
        for (let k = 0; k < 3; k += 1)
          error += (x[row * 3 + k] as number) * (w[k * 2 + column] as number);
        loss += error ** 2 / (ROWS * 2);
        const dError = (2 * error) / (ROWS * 2);
        (gradients.bias[column] as number) += dError;
        for (let k = 0; k < 3; k += 1)
          (gradients.w[k * 2 + column] as number) += dError * (x[row * 3 + k] as number);
      }
    }
    const gradNorm = Math.sqrt(
      Object.values(gradients)
        .flat()
        .reduce((sum, g) => sum + g * g, 0),
    );
    const scale = maxGradNorm === null ? 1 : Math.min(1, maxGradNorm / (gradNorm + 1e-6));
    this.#t += 1;
    for (const name of ['w', 'bias', 'idle'] as const) {
      const { m, v } = this.#moments[name];
      const value = this.values[name];
      gradients[name].forEach((raw, i) => {
        const g = raw * scale;
        m[i] = beta1 * (m[i] as number) + (1 - beta1) * g;
        v[i] = beta2 * (v[i] as number) + (1 - beta2) * g * g;
        const mHat = m[i] / (1 - beta1 ** this.#t);
        const vHat = v[i] / (1 - beta2 ** this.#t);
        const old = value[i] as number;
        const decay = decayed.includes(name) ? learningRate * weightDecay * old : 0;
        value[i] = old - decay - (learningRate * mHat) / (Math.sqrt(vHat) + epsilon);
      });
    }
    return { loss, gradNorm };
  }
}

async function advance(
  session: TensorSession,
  step: TrainStep<string>,
  feeds: Record<string, Tensor>,
): Promise<Record<string, Tensor>> {
  const outputs = await session.run(feeds);
  for (const { value, m, v } of Object.values(step.state)) {
    for (const { input, output } of [value, m, v]) feeds[input] = outputs[output] as Tensor;
  }
  feeds['step'] = outputs['next.step'] as Tensor;
  return outputs;
}

test.each<[string, NonNullable<TrainStepSpec<'w' | 'bias' | 'idle', never>['optimizer']>]>([
  ['Adam with its defaults', {}],
  [
    'AdamW with decay on one parameter, and other decay rates',
    { beta1: 0.8, beta2: 0.95, epsilon: 1e-6, weightDecay: 0.1, decayed: ['w'] },
  ],
  ['a decay of all of it', { weightDecay: 1, decayed: ['w', 'idle'] }],
  ['clipped gradients', { maxGradNorm: 0.2 }],
  ['gradients clipped to almost nothing', { maxGradNorm: 1e-6, epsilon: 1e-7 }],
  ['gradients that are shorter than the bound', { maxGradNorm: 50 }],
  ['no momentum', { beta1: 0 }],
])('%s follows the papers over 20 steps within 1e-6', async (_, optimizer) => {
  const step = leastSquares(optimizer);
  const reference = new ReferenceTraining({
    beta1: 0.9,
    beta2: 0.999,
    epsilon: 1e-8,
    weightDecay: 0,
    decayed: [],
    maxGradNorm: null,
    ...optimizer,
  });
  const session = await runtime.load(emitModel(step.graph));
  const feeds = firstFeeds(step);
  for (let i = 0; i < 20; i += 1) {
    const { x, y } = batch(i);
    const learningRate = 0.05 / (i + 1);
    Object.assign(feeds, {
      x: f32([ROWS, 3], x),
      y: f32([ROWS, 2], y),
      learningRate: f32([], [learningRate]),
    });
    const outputs = await advance(session, step, feeds);
    const expected = reference.update({ x, y }, learningRate);
    expect(outputs['loss']?.data[0]).toBeCloseTo(expected.loss, 5);
    expect(outputs['gradNorm']?.data[0]).toBeCloseTo(expected.gradNorm, 5);
    for (const name of ['w', 'bias', 'idle'] as const) {
      expect(largestError(feeds[name]?.data as Float32Array, reference.values[name])).toBeLessThan(
        1e-6,
      );
    }
  }
  expect(feeds['step']?.data).toEqual(BigInt64Array.of(20n));
});

test.each([
  ['a NaN in the batch', NaN],
  ['an infinity in the batch', Infinity],
  ['a loss that overflows', 3e38],
])('%s leaves parameters, moments and step as they were, and says so', async (_, bad) => {
  const step = leastSquares({ weightDecay: 0.1, decayed: ['w'], maxGradNorm: 1 });
  const session = await runtime.load(emitModel(step.graph));
  const feeds = firstFeeds(step);
  const good = batch(0);
  Object.assign(feeds, { x: f32([ROWS, 3], good.x), y: f32([ROWS, 2], good.y) });
  expect((await advance(session, step, feeds))['finite']?.data[0]).toBe(1);

  const before = { ...feeds };
  feeds['x'] = f32([ROWS, 3], good.x.with(4, bad));
  expect((await advance(session, step, feeds))['finite']?.data[0]).toBe(0);
  expect({ ...feeds, x: null }).toEqual({ ...before, x: null });

  feeds['x'] = f32([ROWS, 3], good.x); // the state is good: training goes on
  expect((await advance(session, step, feeds))['finite']?.data[0]).toBe(1);
  expect(feeds['step']?.data).toEqual(BigInt64Array.of(2n));
});

test('a gradient that is not finite under a finite loss is caught too', async () => {
  const step = buildTrainStep({
    params: { w: [1] },
    batchInputs: {},
    loss: (b, { w }) => ({ loss: b.sumAll(b.sqrt(w)) }), // at 0 the derivative is infinite
  });
  const session = await runtime.load(emitModel(step.graph));
  const outputs = await session.run({
    w: f32([1], [0]),
    'w.m': f32([1], [0]),
    'w.v': f32([1], [0]),
    step: { dtype: 'int64', shape: [], data: BigInt64Array.of(0n) },
    learningRate: f32([], [1]),
  });
  expect(outputs['loss']).toEqual(f32([], [0]));
  expect(outputs['finite']?.data[0]).toBe(0);
  expect(outputs['next.w']).toEqual(f32([1], [0]));
});

test('rows of padding stay 0', async () => {
  const step = buildTrainStep({
    params: { rows: [3, 2] },
    batchInputs: { bag: { shape: [2, 3] } },
    loss: (b, { rows }, { bag }) => ({ loss: b.sumAll(b.square(b.matMul(bag, rows))) }),
  });
  const session = await runtime.load(emitModel(step.graph));
  const zeros = f32([3, 2], [0, 0, 0, 0, 0, 0]);
  const outputs = await session.run({
    rows: f32([3, 2], [1, 2, 3, 4, 0, 0]),
    'rows.m': zeros,
    'rows.v': zeros,
    bag: f32([2, 3], [1, 0, 0, 0.5, 0.5, 0]),
    step: { dtype: 'int64', shape: [], data: BigInt64Array.of(0n) },
    learningRate: f32([], [0.1]),
  });
  for (const name of ['next.rows', 'next.rows.m', 'next.rows.v']) {
    expect(Array.from(outputs[name]?.data as Float32Array).slice(4)).toEqual([0, 0]);
  }
});

test('the step names what goes in, what comes out, and its metrics', () => {
  const { graph, state, metrics } = leastSquares();
  expect(metrics).toEqual(['loss', 'gradNorm', 'finite', 'largest']);
  expect(state.w.m).toEqual({ input: 'w.m', output: 'next.w.m', shape: [3, 2], dtype: 'float32' });
  expect([...graph.outputs.keys()]).toEqual(
    ['w', 'w.m', 'w.v', 'bias', 'bias.m', 'bias.v', 'idle', 'idle.m', 'idle.v', 'step']
      .map((name) => `next.${name}`)
      .concat(metrics),
  );
});

test('a loss per row, and a metric with a name that is taken, are refused', () => {
  const build = (loss: TrainStepSpec<'w', never>['loss']): unknown =>
    buildTrainStep({ params: { w: [2] }, batchInputs: {}, loss });
  expect(() => build((_b, { w }) => ({ loss: w }))).toThrow(ShapeError);
  const named =
    (name: string) =>
    (b: Parameters<TrainStepSpec<'w', never>['loss']>[0], { w }: { readonly w: Node }) => ({
      loss: b.sumAll(w),
      metrics: { [name]: b.sumAll(w) },
    });
  expect(() => build(named('finite'))).toThrow(InvalidInputError);
  expect(() => build(named('next.w'))).toThrow(InvalidInputError);
});
