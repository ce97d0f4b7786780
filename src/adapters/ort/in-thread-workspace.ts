import * as ort from 'onnxruntime-node';
import { InvalidInputError, ShapeError, describeError } from '../../errors';
import { sizeOf } from '../../autodiff/graph';
import type { Tensor, Tensors } from '../../ports/tensor-runtime';
import type { TensorWorkspace, WorkspaceSession } from '../../ports/tensor-workspace';
import { NEXT } from '../../ports/tensor-workspace';
import type { OrtOptions } from './options';
import { sessionOptions } from './options';
import { createInferenceSession } from './inference-session';

/**
 * A workspace on the calling thread: each run blocks it. A tensor of the workspace is one typed array for as long as it is there;
 * ONNX Runtime reads it as an input and writes it as an output that was allocated beforehand.
 *
 * @throws {InvalidInputError} if an option is out of range.
 */
export function createInThreadWorkspace(options: OrtOptions = {}): TensorWorkspace {
  const settings = sessionOptions(options);
  const tensors = new Map<string, ort.Tensor>();
  const sessions = new Set<WorkspaceSession>();
  let isClosed = false;

  function tensorOf(name: string): ort.Tensor {
    const tensor = tensors.get(name);
    if (tensor === undefined) {
      throw new InvalidInputError('the workspace has no tensor of this name', {
        context: { name },
      });
    }
    return tensor;
  }

  const workspace: TensorWorkspace = {
    async write(added) {
      for (const [name, tensor] of Object.entries(added)) tensors.set(name, toOrt(name, tensor));
    },
    async read(names) {
      return Object.fromEntries(names.map((name) => [name, copyOf(tensorOf(name))]));
    },
    async clear(names) {
      for (const name of names) (tensorOf(name).data as Float32Array).fill(0);
    },
    async drop(names) {
      for (const name of names) tensors.delete(name);
    },
    async load(model, { name = 'model' } = {}) {
      if (isClosed)
        throw new InvalidInputError('the workspace is closed', { context: { model: name } });
      const session = await createInferenceSession(model, name, options, settings);
      const own = sessionOn(session, tensors, name);
      const released: WorkspaceSession = {
        run: async (feeds, fetches) => {
          if (sessions.has(released)) return own.run(feeds, fetches);
          throw new InvalidInputError('the session was released', { context: { model: name } });
        },
        async release() {
          if (sessions.delete(released)) await session.release();
        },
      };
      sessions.add(released);
      return released;
    },
    async close() {
      isClosed = true;
      await Promise.all([...sessions].map((session) => session.release()));
      tensors.clear();
    },
  };
  return workspace;
}

function sessionOn(
  session: ort.InferenceSession,
  tensors: ReadonlyMap<string, ort.Tensor>,
  model: string,
): Pick<WorkspaceSession, 'run'> {
  const inputs = new Map(session.inputMetadata.map((input) => [input.name, input]));
  return {
    async run(feeds, chosen) {
      const residents = session.outputNames.filter((name) => tensors.has(nameBehind(name)));
      const returned = session.outputNames.filter((name) => !residents.includes(name));
      const fetches = chosen ?? returned;
      const unknown = [
        ...Object.keys(feeds).filter((name) => !inputs.has(name) || tensors.has(name)),
        ...fetches.filter((name) => !returned.includes(name)),
      ];
      if (unknown.length > 0) {
        throw new InvalidInputError(
          `the model has no input or output of this name that is not the workspace's: ${unknown.join(', ')}`,
          { context: { model } },
        );
      }
      const given: Record<string, ort.Tensor> = {};
      for (const [name, metadata] of inputs) {
        const tensor = tensors.get(name) ?? (feeds[name] && toOrt(name, feeds[name]));
        if (tensor === undefined) {
          throw new InvalidInputError('a run needs every input, one is missing', {
            context: { model, input: name },
          });
        }
        checkType(tensor, metadata, { model, input: name });
        given[name] = tensor;
      }
      const wanted: Record<string, ort.Tensor | null> = {};
      for (const name of residents) wanted[name] = tensors.get(nameBehind(name)) as ort.Tensor;
      for (const name of fetches) wanted[name] = null; // allocated by the run
      let results: ort.InferenceSession.ReturnType;
      try {
        results = await session.run(given, wanted);
      } catch (error) {
        throw new InvalidInputError(`a run failed: ${describeError(error)}`, {
          context: { model },
          cause: error,
        });
      }
      return Object.fromEntries(
        fetches.map((name) => {
          const { type, dims, data } = results[name] as ort.Tensor;
          return [name, { dtype: type, shape: dims, data } as Tensor];
        }),
      );
    },
  };
}

const nameBehind = (output: string): string =>
  output.startsWith(NEXT) ? output.slice(NEXT.length) : '';

function toOrt(name: string, { dtype, shape, data }: Tensors[string]): ort.Tensor {
  if (data.length !== sizeOf(shape)) {
    throw new ShapeError(`a tensor expected ${sizeOf(shape)} values, got ${data.length}`, {
      context: { name },
    });
  }
  return new ort.Tensor(dtype, data as never, shape);
}

function copyOf({ type, dims, data }: ort.Tensor): Tensor {
  return { dtype: type, shape: dims, data: (data as Float32Array).slice() } as Tensor;
}

function checkType(
  tensor: ort.Tensor,
  expected: ort.InferenceSession.ValueMetadata,
  context: { readonly model: string; readonly input: string },
): void {
  if (!expected.isTensor) return;
  const fits =
    expected.type === tensor.type &&
    expected.shape.length === tensor.dims.length &&
    expected.shape.every((size, i) => typeof size === 'string' || size === tensor.dims[i]);
  if (fits) return;
  throw new ShapeError(
    `an input expected ${expected.type}[${expected.shape.join(',')}], got ${tensor.type}[${tensor.dims.join(',')}]`,
    { context },
  );
}
