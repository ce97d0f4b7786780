import { InvalidInputError, ShapeError } from '../errors';
import type { DType, Graph, Node, NodeOf, OpAttributes, OpType, Shape, TensorData } from './graph';
import { formatType, sameShape } from './graph';
import { inferType } from './op-specs';
import { prune } from './prune';
import { verify } from './verify';

/** A number stands for a scalar constant of the other operand's dtype. */
export type Operand = Node | number;

interface GemmOptions {
  readonly transA?: boolean;
  readonly transB?: boolean;
  readonly add?: Node;
}

interface ReduceOptions {
  /** Whether reduced dimensions stay, with size 1; as in ONNX, they do unless told otherwise. */
  readonly keepdims?: boolean;
}

/**
 * Builds a graph, one method per operator. Nodes are append-only, so gradients are more nodes of the same builder and can
 * be differentiated again.
 *
 * Shapes and dtypes are checked as each node is made (op-specs.ts), strictly: binary operators want equal ranks and one
 * dtype, and stretch only sizes of 1. A scalar meets a tensor only where the call says so: `scale`, `addScalar`, `select`,
 * or a number literal. Negative axes count from the end. Every method throws ShapeError, naming the node.
 */
export class GraphBuilder {
  readonly #nodes: Node[] = [];
  readonly #names = new Set<string>();
  readonly #scalars = new Map<string, Node>();

  /** All nodes so far, in topological order. */
  get nodes(): readonly Node[] {
    return this.#nodes;
  }

  /**
   * Appends one node: what all other methods come down to.
   *
   * @param name unique; by default the operator and its position.
   * @throws {InvalidInputError} if the name is taken or an input is another builder's.
   */
  append<O extends OpType>(
    op: O,
    inputs: readonly Node[],
    attributes: OpAttributes[O],
    name = `${op}_${this.#nodes.length}`,
  ): Node {
    if (name === '' || this.#names.has(name)) {
      throw new InvalidInputError('a node needs a name of its own', { context: { name, op } });
    }
    for (const input of inputs) {
      if (this.#nodes[input.index] !== input) {
        throw new InvalidInputError('a node can only use nodes of its own builder', {
          context: { node: name, input: input.name },
        });
      }
    }
    const type = inferType(op, name, inputs, attributes);
    const index = this.#nodes.length;
    const node = {
      index,
      name,
      op,
      inputs: [...inputs],
      attributes: { ...attributes },
      ...type,
    } as NodeOf<O>;
    Object.freeze(node.inputs);
    Object.freeze(node.attributes);
    // TypeScript cannot see that a NodeOf<O> is one of the members of Node for every O.
    const frozen = Object.freeze(node) as unknown as Node;
    this.#nodes.push(frozen);
    this.#names.add(name);
    return frozen;
  }

  /**
   * The graph that computes `outputs`, without what they do not need, verified. Building again later gives a graph of its
   * own: the builder can go on.
   */
  build(outputs: Readonly<Record<string, Node>>): Graph {
    const graph = prune({ nodes: this.#nodes, outputs: new Map(Object.entries(outputs)) });
    verify(graph);
    return graph;
  }

  // Sources

  /** A tensor that is fed by `name` at each run. */
  input(name: string, shape: Shape, dtype: DType = 'float32'): Node {
    return this.append('Input', [], { shape: [...shape], dtype }, name);
  }

  /** A tensor of the graph itself. The data is kept, not copied: leave it alone afterwards. */
  constant(data: TensorData, shape: Shape, dtype: DType = dtypeOf(data), name?: string): Node {
    return this.append('Constant', [], { shape: [...shape], dtype, data }, name);
  }

  /** A constant of rank 0; equal ones are one node. */
  scalar(value: number, dtype: DType = 'float32'): Node {
    const key = `${dtype} ${Object.is(value, -0) ? '-0' : value}`;
    let node = this.#scalars.get(key);
    if (node === undefined) {
      node = this.constant(scalarData(value, dtype), [], dtype);
      this.#scalars.set(key, node);
    }
    return node;
  }

  /** A tensor with one value everywhere. */
  full(shape: Shape, value: number, dtype: DType = 'float32'): Node {
    return this.append('ConstantOfShape', [], {
      shape: [...shape],
      dtype,
      value: rounded(value, dtype),
    });
  }
  zeros(shape: Shape, dtype: DType = 'float32'): Node {
    return this.full(shape, 0, dtype);
  }

  // Elementwise, one operand

  identity(x: Node): Node {
    return this.append('Identity', [x], {});
  }
  /** x, of which no gradient is taken. */
  stopGradient(x: Node): Node {
    return this.append('StopGradient', [x], {});
  }
  neg(x: Node): Node {
    return this.append('Neg', [x], {});
  }
  abs(x: Node): Node {
    return this.append('Abs', [x], {});
  }
  /** −1, 0 or 1. */
  sign(x: Node): Node {
    return this.append('Sign', [x], {});
  }
  exp(x: Node): Node {
    return this.append('Exp', [x], {});
  }
  log(x: Node): Node {
    return this.append('Log', [x], {});
  }
  sqrt(x: Node): Node {
    return this.append('Sqrt', [x], {});
  }
  tanh(x: Node): Node {
    return this.append('Tanh', [x], {});
  }
  erf(x: Node): Node {
    return this.append('Erf', [x], {});
  }
  sigmoid(x: Node): Node {
    return this.append('Sigmoid', [x], {});
  }
  relu(x: Node): Node {
    return this.append('Relu', [x], {});
  }
  clip(x: Node, min: number, max: number): Node {
    return this.append('Clip', [x], { min: rounded(min, x.dtype), max: rounded(max, x.dtype) });
  }
  isNaN(x: Node): Node {
    return this.append('IsNaN', [x], {});
  }
  isInf(x: Node): Node {
    return this.append('IsInf', [x], {});
  }
  cast(x: Node, to: DType): Node {
    return x.dtype === to ? x : this.append('Cast', [x], { to });
  }

  // Elementwise, two operands

  add(x: Node, y: Node): Node {
    return this.#binary('Add', x, y);
  }
  sub(x: Node, y: Node): Node {
    return this.#binary('Sub', x, y);
  }
  mul(x: Node, y: Node): Node {
    return this.#binary('Mul', x, y);
  }
  div(x: Node, y: Node): Node {
    return this.#binary('Div', x, y);
  }
  max(x: Node, y: Operand): Node {
    return this.#binary('Max', x, y);
  }
  min(x: Node, y: Operand): Node {
    return this.#binary('Min', x, y);
  }
  square(x: Node): Node {
    return this.mul(x, x);
  }
  /** x · factor, where factor is a number or a node of rank 0. */
  scale(x: Node, factor: Operand): Node {
    return this.append('Mul', [x, this.#scalarLike(x, factor)], {});
  }
  /** x + term, where term is a number or a node of rank 0. */
  addScalar(x: Node, term: Operand): Node {
    return this.append('Add', [x, this.#scalarLike(x, term)], {});
  }

  /** What is left of a division of integers; of the divisor's sign. */
  mod(x: Node, y: Operand): Node {
    return this.#binary('Mod', x, y);
  }

  // Conditions

  equal(x: Node, y: Operand): Node {
    return this.#binary('Equal', x, y);
  }
  less(x: Node, y: Operand): Node {
    return this.#binary('Less', x, y);
  }
  lessOrEqual(x: Node, y: Operand): Node {
    return this.#binary('LessOrEqual', x, y);
  }
  greater(x: Node, y: Operand): Node {
    return this.#binary('Greater', x, y);
  }
  greaterOrEqual(x: Node, y: Operand): Node {
    return this.#binary('GreaterOrEqual', x, y);
  }
  not(x: Node): Node {
    return this.append('Not', [x], {});
  }
  and(x: Node, y: Node): Node {
    return this.#binary('And', x, y);
  }
  or(x: Node, y: Node): Node {
    return this.#binary('Or', x, y);
  }
  /**
   * Elementwise x where the condition holds, else y. The side not taken gets a cotangent of 0, which does not undo an
   * infinite derivative there (0 · ∞ = NaN): make the argument safe, not the result.
   */
  where(condition: Node, x: Operand, y: Operand): Node {
    const [a, b] = this.#operands('Where', x, y);
    this.#demandRank('Where', condition, typeof x === 'number' ? b : a);
    if (typeof x !== 'number' && typeof y !== 'number') this.#demandRank('Where', a, b);
    return this.append('Where', [condition, a, b], {});
  }
  /** All of x if the scalar condition holds, else all of y. */
  select(condition: Node, x: Operand, y: Operand): Node {
    if (condition.shape.length !== 0) {
      throw new ShapeError(`select expected a condition of rank 0, got ${formatType(condition)}`, {
        context: { condition: condition.name },
      });
    }
    return this.append('Where', [condition, ...this.#operands('Where', x, y)], {});
  }

  // Products

  /** [m, k] · [k, n], over equal (or size 1) leading dimensions where the rank is above 2. */
  matMul(x: Node, y: Node): Node {
    return this.append('MatMul', [x, y], {});
  }
  /**
   * op(x) · op(y) of two matrices, where op transposes if told to; nothing is copied for that.
   *
   * @param options.add a matrix that stretches to the product's shape and is added in the same pass.
   */
  gemm(x: Node, y: Node, { transA = false, transB = false, add }: GemmOptions = {}): Node {
    const inputs = add === undefined ? [x, y] : [x, y, add];
    return this.append('Gemm', inputs, { transA, transB });
  }
  // Shapes

  /** @param perm result axis i is operand axis perm[i]; by default the last two are swapped. */
  transpose(x: Node, perm: readonly number[] = swapLastTwo(x.shape.length)): Node {
    return this.append('Transpose', [x], { perm: [...perm] });
  }
  reshape(x: Node, shape: Shape): Node {
    return sameShape(x.shape, shape) ? x : this.append('Reshape', [x], { shape: [...shape] });
  }
  /** Stretches sizes of 1, or a scalar, to `shape`. */
  expand(x: Node, shape: Shape): Node {
    return sameShape(x.shape, shape) ? x : this.append('Expand', [x], { shape: [...shape] });
  }
  concat(xs: readonly Node[], axis: number): Node {
    return this.append('Concat', xs, { axis: fromEnd(axis, xs[0]) });
  }
  /** Elements [start, end) of one axis. */
  slice(x: Node, axis: number, start: number, end: number): Node {
    return this.append('Slice', [x], { axis: fromEnd(axis, x), start, end });
  }
  /** Zeros before and after one axis. */
  pad(x: Node, axis: number, before: number, after: number): Node {
    return this.append('Pad', [x], { axis: fromEnd(axis, x), before, after });
  }

  // Reductions

  reduceSum(x: Node, axes: readonly number[], { keepdims = true }: ReduceOptions = {}): Node {
    return this.append('ReduceSum', [x], { axes: ascending(axes, x), keepdims });
  }
  /** Σ x². */
  reduceSumSquare(x: Node, axes: readonly number[], { keepdims = true }: ReduceOptions = {}): Node {
    return this.append('ReduceSumSquare', [x], { axes: ascending(axes, x), keepdims });
  }
  reduceMean(x: Node, axes: readonly number[], { keepdims = true }: ReduceOptions = {}): Node {
    return this.append('ReduceMean', [x], { axes: ascending(axes, x), keepdims });
  }
  reduceMax(x: Node, axes: readonly number[], { keepdims = true }: ReduceOptions = {}): Node {
    return this.append('ReduceMax', [x], { axes: ascending(axes, x), keepdims });
  }
  /** The sum of all elements, of rank 0. */
  sumAll(x: Node): Node {
    return x.shape.length === 0 ? x : this.reduceSum(x, [...x.shape.keys()], { keepdims: false });
  }
  /** The mean of all elements, of rank 0. */
  meanAll(x: Node): Node {
    return x.shape.length === 0 ? x : this.reduceMean(x, [...x.shape.keys()], { keepdims: false });
  }
  softmax(x: Node, axis = -1): Node {
    return this.append('Softmax', [x], { axis: fromEnd(axis, x) });
  }
  logSoftmax(x: Node, axis = -1): Node {
    return this.append('LogSoftmax', [x], { axis: fromEnd(axis, x) });
  }

  // Indexing. Indices are int64; one that is out of range fails the run.

  /** Rows of axis 0: [indices.shape…, data.shape[1:]…]. */
  gather(data: Node, indices: Node): Node {
    return this.append('Gather', [data, indices], {});
  }
  /** out[i, j] = data[i, indices[i, j]], for axis 1 of a matrix. */
  gatherElements(data: Node, indices: Node, axis = -1): Node {
    return this.append('GatherElements', [data, indices], { axis: fromEnd(axis, data) });
  }
  /** data, with updates[i, j] written to (or added at) [i, indices[i, j]], for axis 1 of a matrix. */
  scatterElements(
    data: Node,
    indices: Node,
    updates: Node,
    { axis = -1, reduction = 'none' }: { axis?: number; reduction?: 'none' | 'add' } = {},
  ): Node {
    const attributes = { axis: fromEnd(axis, data), reduction };
    return this.append('ScatterElements', [data, indices, updates], attributes);
  }
  /** data, with whole slices overwritten. It has no gradient, and `verify` refuses reduction 'add': it races. */
  scatterND(data: Node, indices: Node, updates: Node, reduction: 'none' | 'add' = 'none'): Node {
    return this.append('ScatterND', [data, indices, updates], { reduction });
  }

  /** Undoes broadcasting: sums over what was stretched, so that the result has `shape`. */
  sumTo(x: Node, shape: Shape): Node {
    if (sameShape(x.shape, shape)) return x;
    if (shape.length === 0) return this.sumAll(x);
    const stretched = [...shape.keys()].filter((axis) => shape[axis] !== x.shape[axis]);
    return this.reduceSum(x, stretched);
  }

  #binary(
    op:
      | 'Add'
      | 'Sub'
      | 'Mul'
      | 'Div'
      | 'Mod'
      | 'Max'
      | 'Min'
      | 'Equal'
      | 'Less'
      | 'LessOrEqual'
      | 'Greater'
      | 'GreaterOrEqual'
      | 'And'
      | 'Or',
    x: Node,
    y: Operand,
  ): Node {
    if (typeof y === 'number') return this.append(op, [x, this.scalar(y, x.dtype)], {});
    this.#demandRank(op, x, y);
    return this.append(op, [x, y], {});
  }

  #operands(op: OpType, x: Operand, y: Operand): [Node, Node] {
    if (typeof x !== 'number') return [x, typeof y === 'number' ? this.scalar(y, x.dtype) : y];
    if (typeof y !== 'number') return [this.scalar(x, y.dtype), y];
    throw new InvalidInputError('one of two values has to be a node, or their dtype is unknown', {
      context: { op },
    });
  }

  #scalarLike(x: Node, scalar: Operand): Node {
    if (typeof scalar === 'number') return this.scalar(scalar, x.dtype);
    if (scalar.shape.length === 0) return scalar;
    throw new ShapeError(`expected a scalar, got ${formatType(scalar)}`, {
      context: { node: scalar.name },
    });
  }

  #demandRank(op: OpType, x: Node, y: Node): void {
    if (x.shape.length === y.shape.length) return;
    throw new ShapeError(
      `${op} expected operands of equal rank, got ${x.name}: ${formatType(x)} and ${y.name}: ${formatType(y)}; ` +
        'reshape one, or use scale, addScalar or select for a scalar',
    );
  }
}

function dtypeOf(data: TensorData): DType {
  if (data instanceof Float32Array) return 'float32';
  if (data instanceof Float64Array) return 'float64';
  return data instanceof BigInt64Array ? 'int64' : 'bool';
}

function scalarData(value: number, dtype: DType): TensorData {
  if (dtype === 'float32') return Float32Array.of(value);
  if (dtype === 'float64') return Float64Array.of(value);
  return dtype === 'int64' ? BigInt64Array.of(BigInt(value)) : Uint8Array.of(value);
}

/** The nearest value that the dtype holds, so that a graph read back from its bytes has the same attributes. */
function rounded(value: number, dtype: DType): number {
  return dtype === 'float32' ? Math.fround(value) : value;
}

function fromEnd(axis: number, x: Node | undefined): number {
  return axis < 0 ? axis + (x?.shape.length ?? 0) : axis;
}

function ascending(axes: readonly number[], x: Node): number[] {
  return axes.map((axis) => fromEnd(axis, x)).sort((a, b) => a - b);
}

function swapLastTwo(rank: number): number[] {
  return [...Array(rank).keys()].map((axis) => {
    if (rank < 2 || axis < rank - 2) return axis;
    return axis === rank - 1 ? rank - 2 : rank - 1;
  });
}
