import { GraphBuilder } from '../../src/autodiff/graph-builder';
import { verifyNext } from '../../src/autodiff/in-place';
import { ShapeError } from '../../src/errors';
import { emitModel } from '../../src/onnx/emit';
import type { TensorWorkspace } from '../../src/ports/tensor-workspace';
import { float32 } from './ort-runtime.contract';

/** w ← w + x · yᵀ, in place; `total` = Σ of the new w. */
function accumulating(): Uint8Array {
  const b = new GraphBuilder();
  const w = b.input('w', [2, 2]);
  const [x, y] = [b.input('x', [2, 1]), b.input('y', [2, 1])];
  const next = b.gemm(x, y, { transB: true, add: w });
  const graph = b.build({ total: b.sumAll(next), 'next.w': next });
  verifyNext(graph);
  return emitModel(graph);
}

/** What every adapter of TensorWorkspace promises. */
export function tensorWorkspaceContract(create: () => TensorWorkspace): void {
  let workspace: TensorWorkspace;
  beforeAll(() => {
    workspace = create();
  });
  afterAll(() => workspace.close());

  const ones = float32([2, 1], [1, 1]);

  test('a run adds to a tensor of the workspace, and only the rest comes back', async () => {
    await workspace.write({ w: float32([2, 2], [1, 2, 3, 4]) });
    const session = await workspace.load(accumulating());
    const first = await session.run({ x: float32([2, 1], [1, 10]), y: ones });
    expect(first).toEqual({ total: float32([], [32]) });
    const second = await session.run({ x: ones, y: ones });
    expect(second['total']).toEqual(float32([], [36]));
    expect(await workspace.read(['w'])).toEqual({ w: float32([2, 2], [3, 4, 14, 15]) });
  });

  test('what was read is a copy, and what is written takes the place of the old', async () => {
    await workspace.write({ w: float32([2, 2], [1, 2, 3, 4]) });
    const { w } = await workspace.read(['w']);
    (w?.data as Float32Array).fill(9);
    expect(await workspace.read(['w'])).toEqual({ w: float32([2, 2], [1, 2, 3, 4]) });
    await workspace.write({ w: float32([2, 2], [5, 6, 7, 8]) });
    const session = await workspace.load(accumulating());
    expect((await session.run({ x: ones, y: ones }))['total']).toEqual(float32([], [30]));
  });

  test('clear sets to 0', async () => {
    await workspace.write({ w: float32([2, 2], [1, 2, 3, 4]) });
    await workspace.clear(['w']);
    expect(await workspace.read(['w'])).toEqual({ w: float32([2, 2], [0, 0, 0, 0]) });
    await expect(workspace.read(['v'])).rejects.toThrow(/no tensor.*name=v/);
  });

  test('a run that cannot be leaves the tensors as they were, and says why', async () => {
    await workspace.write({ w: float32([2, 2], [1, 2, 3, 4]) });
    const session = await workspace.load(accumulating(), { name: 'adding' });
    await expect(session.run({ x: ones })).rejects.toThrow(/one is missing.*model=adding, input=y/);
    await expect(session.run({ x: ones, y: float32([1, 2], [1, 1]) })).rejects.toThrow(ShapeError);
    await expect(session.run({ x: ones, y: ones, w: ones })).rejects.toThrow(/workspace's: w/);
    expect(await workspace.read(['w'])).toEqual({ w: float32([2, 2], [1, 2, 3, 4]) });
    await workspace.write({ w: float32([4], [1, 2, 3, 4]) });
    await expect(session.run({ x: ones, y: ones })).rejects.toThrow(/input=w/);
  });

  test('a released session, and one of a closed workspace, run no more', async () => {
    const other = create();
    await other.write({ w: float32([2, 2], [1, 2, 3, 4]) });
    const [first, second] = [await other.load(accumulating()), await other.load(accumulating())];
    await first.release();
    await expect(first.run({ x: ones, y: ones })).rejects.toThrow(/released/);
    await other.close();
    await expect(second.run({ x: ones, y: ones })).rejects.toThrow();
    await expect(other.load(accumulating())).rejects.toThrow();
  });
}
