import * as ort from 'onnxruntime-node';
import { InvalidInputError } from '../../errors';

/** How ONNX Runtime uses the machine. The same options hold for every session of a runtime. */
export interface OrtOptions {
  /** Threads that one operator may use, the calling one included. @default as many as there are physical cores */
  readonly threads?: number;
  /** Idle threads burn their core while they wait for work: faster on an empty machine, ruin on a shared one. @default false */
  readonly allowSpinning?: boolean;
  /** In order of preference, e.g. `['cuda', 'cpu']`. One that cannot be loaded is an error, never a silent fallback. @default ['cpu'] */
  readonly executionProviders?: readonly string[];
}

/** @throws {InvalidInputError} if an option is out of range. */
export function sessionOptions(options: OrtOptions): ort.InferenceSession.SessionOptions {
  const { threads, allowSpinning = false, executionProviders = ['cpu'] } = options;
  if (threads !== undefined && (!Number.isInteger(threads) || threads < 1)) {
    throw new InvalidInputError('expected `threads` to be an integer >= 1', {
      context: { threads },
    });
  }
  if (executionProviders.length === 0) {
    throw new InvalidInputError('expected at least one execution provider, e.g. cpu');
  }
  // onnxruntime-common drops a name that it does not know as soon as another one is in the list.
  const supported = ort.listSupportedBackends().map(({ name }) => name);
  for (const provider of executionProviders) {
    if (!supported.includes(provider)) {
      throw new InvalidInputError(
        `this build of ONNX Runtime has no such execution provider: expected ${supported.join(', ')}`,
        { context: { executionProvider: provider } },
      );
    }
  }
  return {
    executionProviders,
    graphOptimizationLevel: 'all',
    logSeverityLevel: 4, // what goes wrong is thrown, with the same words
    extra: { session: { intra_op: { allow_spinning: allowSpinning ? '1' : '0' } } },
    ...(threads === undefined ? {} : { intraOpNumThreads: threads }),
  };
}
