/** @jest-environment ./test/gradcheck/ort-environment.cjs */
import { createInThreadRuntime } from '../../src/adapters/ort/in-thread-runtime';
import { InvalidInputError } from '../../src/errors';
import { doubling, tensorRuntimeContract } from './ort-runtime.contract';

tensorRuntimeContract(async () => createInThreadRuntime({ threads: 2 }));

test('an execution provider that is not there is an error that names it, never a silent fallback', async () => {
  const runtime = createInThreadRuntime({ executionProviders: ['abacus', 'cpu'] });
  const failure = runtime.load(doubling(), { name: 'm' });
  await expect(failure).rejects.toThrow(InvalidInputError);
  await expect(failure).rejects.toThrow(/abacus/);
});

test('one that needs what this machine lacks says so; a model that is at fault is not blamed on it', async () => {
  const runtime = createInThreadRuntime({ executionProviders: ['cuda'] });
  const outcome: unknown = await runtime
    .load(doubling(), { name: 'm' })
    .catch((error: unknown) => error);
  // Where there is a CUDA device with its libraries, it simply loads.
  if (outcome instanceof Error) {
    expect(outcome).toBeInstanceOf(InvalidInputError);
    expect(outcome.message).toMatch(
      /execution provider cuda cannot work on this machine.*take cpu/,
    );
  }
  await expect(runtime.load(Uint8Array.of(1, 2, 3))).rejects.toThrow(/refused a model/);
  await runtime.close();
});

test('a number of threads that makes no sense is refused', async () => {
  await expect(createInThreadRuntime({ threads: 0 }).load(doubling())).rejects.toThrow(/threads=0/);
});
