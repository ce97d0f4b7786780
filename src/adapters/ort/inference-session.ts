import * as ort from 'onnxruntime-node';
import { sizeOf } from '../../autodiff/graph';
import { InvalidInputError, ShapeError, describeError } from '../../errors';
import type { Tensor } from '../../ports/tensor-runtime';
import type { OrtOptions } from './options';
import { sessionOptions } from './options';

/** @throws {InvalidInputError} if ONNX Runtime refuses the model, or an execution provider cannot work here. */
export async function createInferenceSession(
  model: Uint8Array,
  name: string,
  options: OrtOptions,
  settings: ort.InferenceSession.SessionOptions = sessionOptions(options),
): Promise<ort.InferenceSession> {
  try {
    return await ort.InferenceSession.create(model, settings);
  } catch (cause) {
    const { executionProviders = ['cpu'] } = options;
    const providers = executionProviders.join(', ');
    if (await runsOnCpu(model, executionProviders)) {
      throw new InvalidInputError(
        `the execution provider ${providers} cannot work on this machine: its libraries or its device are not there; install them, or take cpu`,
        { context: { model: name, executionProviders: providers }, cause },
      );
    }
    throw new InvalidInputError(`ONNX Runtime refused a model: ${describeError(cause)}`, {
      context: { model: name, executionProviders: providers },
      cause,
    });
  }
}

/** Whether it is the providers' fault, and not the model's. */
async function runsOnCpu(model: Uint8Array, providers: readonly string[]): Promise<boolean> {
  if (providers.every((provider) => provider === 'cpu')) return false;
  try {
    const session = await ort.InferenceSession.create(model, { executionProviders: ['cpu'] });
    await session.release();
    return true;
  } catch {
    return false; // what is wrong with the model is in the first error
  }
}

/** Which input of which model, for messages. */
interface InputContext {
  readonly model?: string;
  readonly input: string;
}

/** @throws {ShapeError} if the values are not as many as the shape says. */
export function toOrt({ dtype, shape, data }: Tensor, { model, input }: InputContext): ort.Tensor {
  if (data.length !== sizeOf(shape)) {
    throw new ShapeError(`an input expected ${sizeOf(shape)} values, got ${data.length}`, {
      context: { model, input },
    });
  }
  return new ort.Tensor(dtype, data as never, shape);
}

/** @returns the tensor, which is there and has the type that the model expects. @throws {InvalidInputError | ShapeError} if not. */
export function checkInput(
  tensor: ort.Tensor | undefined,
  expected: ort.InferenceSession.ValueMetadata,
  { model, input }: InputContext,
): ort.Tensor {
  const context = { model, input };
  if (tensor === undefined) {
    throw new InvalidInputError('a run needs every input, one is missing', { context });
  }
  const fits =
    !expected.isTensor ||
    (expected.type === tensor.type &&
      expected.shape.length === tensor.dims.length &&
      expected.shape.every((size, i) => typeof size === 'string' || size === tensor.dims[i]));
  if (fits) return tensor;
  throw new ShapeError(
    `an input expected ${expected.type}[${expected.shape.join(',')}], got ${tensor.type}[${tensor.dims.join(',')}]`,
    { context },
  );
}

/**
 * @param written tensors that outputs are written into; they are not among the results.
 * @returns the fetched outputs, which are the caller's own. @throws {InvalidInputError} if ONNX Runtime fails.
 */
export async function runSession(
  session: ort.InferenceSession,
  model: string,
  feeds: Readonly<Record<string, ort.Tensor>>,
  fetches: readonly string[],
  written: Readonly<Record<string, ort.Tensor>> = {},
): Promise<Record<string, Tensor>> {
  const wanted = { ...written, ...Object.fromEntries(fetches.map((name) => [name, null])) };
  let results: ort.InferenceSession.ReturnType;
  try {
    results = await session.run(feeds, wanted);
  } catch (error) {
    throw new InvalidInputError(`a run failed: ${describeError(error)}`, {
      context: { model },
      cause: error,
    });
  }
  return Object.fromEntries(fetches.map((name) => [name, fromOrt(results[name] as ort.Tensor)]));
}

export function fromOrt(tensor: ort.Tensor): Tensor {
  return { dtype: tensor.type, shape: tensor.dims, data: tensor.data } as Tensor;
}
