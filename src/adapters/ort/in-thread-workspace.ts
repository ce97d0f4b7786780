import type * as ort from 'onnxruntime-node';
import { NEXT } from '../../autodiff/in-place';
import { InvalidInputError } from '../../errors';
import type { Tensor } from '../../ports/tensor-runtime';
import type { TensorWorkspace, WorkspaceSession } from '../../ports/tensor-workspace';
import type { OrtOptions } from './options';
import { sessionOptions } from './options';
import {
  checkInput,
  createInferenceSession,
  fromOrt,
  runSession,
  toOrt,
} from './inference-session';

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

  return {
    async write(added) {
      for (const [name, tensor] of Object.entries(added))
        tensors.set(name, toOrt(tensor, { input: name }));
    },
    async read(names) {
      return Object.fromEntries(names.map((name) => [name, copyOf(tensorOf(name))]));
    },
    async clear(names) {
      for (const name of names) (tensorOf(name).data as Float32Array).fill(0);
    },
    async load(model, { name = 'model' } = {}) {
      if (isClosed)
        throw new InvalidInputError('the workspace is closed', { context: { model: name } });
      const session = await createInferenceSession(model, name, options, settings);
      const { run } = sessionOn(session, tensors, name);
      const owned: WorkspaceSession = {
        async run(feeds) {
          if (sessions.has(owned)) return run(feeds);
          throw new InvalidInputError('the session was released', { context: { model: name } });
        },
        async release() {
          if (sessions.delete(owned)) await session.release();
        },
      };
      sessions.add(owned);
      return owned;
    },
    async close() {
      isClosed = true;
      await Promise.all([...sessions].map((session) => session.release()));
      tensors.clear();
    },
  };
}

function sessionOn(
  session: ort.InferenceSession,
  tensors: ReadonlyMap<string, ort.Tensor>,
  model: string,
): Pick<WorkspaceSession, 'run'> {
  const inputs = new Map(session.inputMetadata.map((input) => [input.name, input]));
  return {
    async run(feeds) {
      const unknown = Object.keys(feeds).filter((name) => !inputs.has(name) || tensors.has(name));
      if (unknown.length > 0) {
        throw new InvalidInputError(
          `the model has no input of this name that is not the workspace's: ${unknown.join(', ')}`,
          { context: { model } },
        );
      }
      const given: Record<string, ort.Tensor> = {};
      for (const [input, expected] of inputs) {
        const fed = feeds[input] && toOrt(feeds[input], { model, input });
        given[input] = checkInput(tensors.get(input) ?? fed, expected, { model, input });
      }
      const written: Record<string, ort.Tensor> = {};
      const fetches: string[] = [];
      for (const output of session.outputNames) {
        const place = tensors.get(nameBehind(output));
        if (place === undefined) fetches.push(output);
        else written[output] = place;
      }
      return runSession(session, model, given, fetches, written);
    },
  };
}

const nameBehind = (output: string): string =>
  output.startsWith(NEXT) ? output.slice(NEXT.length) : '';

/** @returns a tensor with values of its own. */
function copyOf(tensor: ort.Tensor): Tensor {
  const { data, ...type } = fromOrt(tensor);
  return { ...type, data: data.slice() } as Tensor;
}
