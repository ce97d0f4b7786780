import type * as ort from 'onnxruntime-node';
import { InvalidInputError } from '../../errors';
import type { TensorSession } from '../../ports/tensor-runtime';
import { checkInput, createInferenceSession, runSession, toOrt } from './inference-session';
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
        const tensor = feeds[input] && toOrt(feeds[input], { model: name, input });
        converted[input] = checkInput(tensor, expected, { model: name, input });
      }
      return runSession(session, name, converted, fetches);
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
