import * as ort from 'onnxruntime-node';
import { InvalidInputError, describeError } from '../../errors';
import type { OrtOptions } from './options';
import { sessionOptions } from './options';

/** @throws {InvalidInputError} if ONNX Runtime refuses the model or an execution provider is not there. */
export async function createInferenceSession(
  model: Uint8Array,
  name: string,
  options: OrtOptions,
  settings: ort.InferenceSession.SessionOptions = sessionOptions(options),
): Promise<ort.InferenceSession> {
  try {
    return await ort.InferenceSession.create(model, settings);
  } catch (error) {
    throw new InvalidInputError(`ONNX Runtime refused a model: ${describeError(error)}`, {
      context: {
        model: name,
        executionProviders: (options.executionProviders ?? ['cpu']).join(' '),
      },
      cause: error,
    });
  }
}
