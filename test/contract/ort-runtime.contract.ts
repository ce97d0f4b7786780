import { GraphBuilder } from '../../src/autodiff/graph-builder';
import { InvalidInputError, ShapeError } from '../../src/errors';
import { emitModel } from '../../src/onnx/emit';
import type { Tensor, TensorRuntime } from '../../src/ports/tensor-runtime';

export const float32 = (shape: number[], values: ArrayLike<number>): Tensor => ({
  dtype: 'float32',
  shape,
  data: Float32Array.from(values),
});

/** y = 2x and its sum, of float32 [3]. */
export function doubling(): Uint8Array {
  const b = new GraphBuilder();
  const x = b.input('x', [3]);
  const y = b.scale(x, 2);
  return emitModel(b.build({ y, total: b.sumAll(y) }));
}

/** Every dtype in and out again, changed. */
function everyDtype(): Uint8Array {
  const b = new GraphBuilder();
  return emitModel(
    b.build({
      float32: b.neg(b.input('a', [2])),
      float64: b.neg(b.input('b', [2], 'float64')),
      int64: b.neg(b.input('c', [2], 'int64')),
      bool: b.not(b.input('d', [2], 'bool')),
      scalar: b.neg(b.input('e', [])),
    }),
  );
}

/** What every adapter of TensorRuntime promises. */
export function tensorRuntimeContract(create: () => Promise<TensorRuntime>): void {
  let runtime: TensorRuntime;
  beforeAll(async () => {
    runtime = await create();
  });
  afterAll(() => runtime.close());

  test('a model names its inputs and outputs, and gives what it computes', async () => {
    const session = await runtime.load(doubling());
    expect([session.inputNames, session.outputNames]).toEqual([['x'], ['y', 'total']]);
    const { y, total } = await session.run({ x: float32([3], [1, 2, 3]) });
    expect(y).toEqual(float32([3], [2, 4, 6]));
    expect(total).toEqual(float32([], [12]));
  });

  test('only the outputs that are asked for come back', async () => {
    const session = await runtime.load(doubling());
    expect(Object.keys(await session.run({ x: float32([3], [1, 2, 3]) }, ['total']))).toEqual([
      'total',
    ]);
  });

  test('every dtype goes in and comes out', async () => {
    const session = await runtime.load(everyDtype());
    const outputs = await session.run({
      a: float32([2], [1, 2]),
      b: { dtype: 'float64', shape: [2], data: Float64Array.of(1, 2) },
      c: { dtype: 'int64', shape: [2], data: BigInt64Array.of(1n, -(2n ** 62n)) },
      d: { dtype: 'bool', shape: [2], data: Uint8Array.of(1, 0) },
      e: float32([], [3]),
    });
    expect(outputs).toEqual({
      float32: float32([2], [-1, -2]),
      float64: { dtype: 'float64', shape: [2], data: Float64Array.of(-1, -2) },
      int64: { dtype: 'int64', shape: [2], data: BigInt64Array.of(-1n, 2n ** 62n) },
      bool: { dtype: 'bool', shape: [2], data: Uint8Array.of(0, 1) },
      scalar: float32([], [-3]),
    });
  });

  test('feeds are left as they were, and a view of a larger buffer feeds just its part', async () => {
    const session = await runtime.load(doubling());
    const whole = Float32Array.of(9, 1, 2, 3, 9);
    const x: Tensor = { dtype: 'float32', shape: [3], data: whole.subarray(1, 4) };
    const { y } = await session.run({ x });
    expect(y).toEqual(float32([3], [2, 4, 6]));
    expect(Array.from(whole)).toEqual([9, 1, 2, 3, 9]);
  });

  test('an output can be fed back, many times over', async () => {
    const session = await runtime.load(doubling());
    let x = float32([3], [1, 2, 3]);
    for (let i = 0; i < 10; i += 1) x = (await session.run({ x }, ['y']))['y'] as Tensor;
    expect(x).toEqual(float32([3], [1024, 2048, 3072]));
  });

  test('runs that are started at once each get their own answer', async () => {
    const session = await runtime.load(doubling());
    const runs = await Promise.all(
      [1, 2, 3].map((v) => session.run({ x: float32([3], [v, v, v]) }, ['total'])),
    );
    expect(runs.map(({ total }) => total?.data[0])).toEqual([6, 12, 18]);
  });

  test.each<
    [
      string,
      Record<string, Tensor>,
      readonly string[] | undefined,
      new (m: string) => Error,
      RegExp,
    ]
  >([
    ['a missing input', {}, undefined, InvalidInputError, /is missing.*model=m, input=x/],
    [
      'an unknown input',
      { x: float32([3], [1, 2, 3]), z: float32([1], [1]) },
      undefined,
      InvalidInputError,
      /no input.*: z/,
    ],
    [
      'an unknown output',
      { x: float32([3], [1, 2, 3]) },
      ['nope'],
      InvalidInputError,
      /no output.*: nope/,
    ],
    [
      'another shape',
      { x: float32([4], [1, 2, 3, 4]) },
      undefined,
      ShapeError,
      /expected float32\[3\], got float32\[4\]/,
    ],
    [
      'another dtype',
      { x: { dtype: 'int64', shape: [3], data: BigInt64Array.of(1n, 2n, 3n) } },
      undefined,
      ShapeError,
      /got int64\[3\]/,
    ],
    ['too few values', { x: float32([3], [1, 2]) }, undefined, ShapeError, /3 values, got 2/],
  ])(
    '%s is refused by name, and the session goes on',
    async (_, feeds, fetches, errorClass, message) => {
      const session = await runtime.load(doubling(), { name: 'm' });
      const failure = session.run(feeds, fetches);
      await expect(failure).rejects.toThrow(errorClass);
      await expect(failure).rejects.toThrow(message);
      expect((await session.run({ x: float32([3], [1, 1, 1]) }, ['total']))['total']?.data[0]).toBe(
        6,
      );
    },
  );

  test('an index out of range fails the run', async () => {
    const b = new GraphBuilder();
    const rows = b.gather(b.input('x', [3]), b.input('at', [1], 'int64'));
    const session = await runtime.load(emitModel(b.build({ rows })));
    const at: Tensor = { dtype: 'int64', shape: [1], data: BigInt64Array.of(7n) };
    await expect(session.run({ x: float32([3], [1, 2, 3]), at })).rejects.toThrow(
      InvalidInputError,
    );
  });

  test('bytes that are no model are refused by name', async () => {
    const failure = runtime.load(Buffer.from('not a model'), { name: 'junk' });
    await expect(failure).rejects.toThrow(InvalidInputError);
    await expect(failure).rejects.toThrow(/model=junk/);
  });

  test('a released session refuses to run; releasing it again does nothing', async () => {
    const session = await runtime.load(doubling());
    await session.release();
    await session.release();
    await expect(session.run({ x: float32([3], [1, 2, 3]) })).rejects.toThrow(/released/);
  });

  test('a closed runtime refuses to load; closing it again does nothing', async () => {
    const own = await create();
    await own.load(doubling());
    await own.close();
    await own.close();
    await expect(own.load(doubling())).rejects.toThrow(InvalidInputError);
  });
}
