import * as ort from 'onnxruntime-node';
import { InvalidInputError, ShapeError, describeError } from '../../errors';
import { sizeOf } from '../../autodiff/graph';
import type { Tensor, TensorSession } from '../../ports/tensor-runtime';
import { createInferenceSession } from './inference-session';
import type { OrtOptions } from './options';

/**
 * A session on the calling thread: `run` blocks it for as long as the model computes.
 *
 * @throws {InvalidInputError} if ONNX Runtime refuses the model or an execution provider is not there.
 */
export async function createOrtSession(
  model: Uint8Array,
  name: string,
  options: OrtOptions,
): Promise<TensorSession> {
  const session = await createInferenceSession(model, name, options);
  const inputs = new Map(session.inputMetadata.map((input) => [input.name, input]));
  const outputs = new Set(session.outputNames);
  return {
    inputNames: session.inputNames,
    outputNames: session.outputNames,
    async run(feeds, fetches = session.outputNames) {
      rejectUnknown('input', Object.keys(feeds), inputs, name);
      rejectUnknown('output', fetches, outputs, name);
      const converted: Record<string, ort.Tensor> = {};
      for (const [input, expected] of inputs) {
        converted[input] = toOrt(input, feeds[input], expected, name);
      }
      let results: ort.InferenceSession.ReturnType;
      try {
        results = await session.run(converted, fetches);
      } catch (error) {
        throw new InvalidInputError(`a run failed: ${describeError(error)}`, {
          context: { model: name },
          cause: error,
        });
      }
      return Object.fromEntries(
        fetches.map((output) => [output, fromOrt(results[output] as ort.Tensor)]),
      );
    },
    release: () => session.release(),
  };
}

function rejectUnknown(
  what: 'input' | 'output',
  names: readonly string[],
  known: { has(name: string): boolean },
  model: string,
): void {
  const unknown = names.filter((name) => !known.has(name));
  if (unknown.length > 0) {
    throw new InvalidInputError(`the model has no ${what} of this name: ${unknown.join(', ')}`, {
      context: { model },
    });
  }
}

function toOrt(
  input: string,
  tensor: Tensor | undefined,
  expected: ort.InferenceSession.ValueMetadata,
  model: string,
): ort.Tensor {
  const context = { model, input };
  if (tensor === undefined)
    throw new InvalidInputError('a run needs every input, one is missing', { context });
  const { dtype, shape, data } = tensor;
  if (expected.isTensor) {
    const fits =
      expected.type === dtype &&
      expected.shape.length === shape.length &&
      expected.shape.every((size, i) => typeof size === 'string' || size === shape[i]);
    if (!fits) {
      throw new ShapeError(
        `an input expected ${expected.type}[${expected.shape.join(',')}], got ${dtype}[${shape.join(',')}]`,
        { context },
      );
    }
  }
  if (data.length !== sizeOf(shape)) {
    throw new ShapeError(`an input expected ${sizeOf(shape)} values, got ${data.length}`, {
      context,
    });
  }
  return new ort.Tensor(dtype, data as never, shape);
}

function fromOrt(tensor: ort.Tensor): Tensor {
  return { dtype: tensor.type, shape: tensor.dims, data: tensor.data } as Tensor;
}
