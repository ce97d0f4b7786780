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

test('a number of threads that makes no sense is refused', async () => {
  await expect(createInThreadRuntime({ threads: 0 }).load(doubling())).rejects.toThrow(/threads=0/);
});
