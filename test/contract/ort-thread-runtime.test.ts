import { Worker } from 'node:worker_threads';
import { distPath } from '../../src/adapters/dist-path';
import { createThreadRuntime } from '../../src/adapters/ort/thread-runtime';
import { GraphBuilder } from '../../src/autodiff/graph-builder';
import { InvalidInputError, TransientError } from '../../src/errors';
import { emitModel } from '../../src/onnx/emit';
import { doubling, float32, tensorRuntimeContract } from './ort-runtime.contract';

tensorRuntimeContract(() => createThreadRuntime({ threads: 1 }));

const SIZE = 384;

/** Matrix products for about a second on one core. */
function slow(): Uint8Array {
  const b = new GraphBuilder();
  let x = b.input('x', [SIZE, SIZE]);
  for (let i = 0; i < 200; i += 1) x = b.matMul(x, x);
  return emitModel(b.build({ total: b.sumAll(x) }));
}
const slowFeed = { x: float32([SIZE, SIZE], new Float32Array(SIZE * SIZE)) };

test('the event loop goes on while a model runs', async () => {
  const runtime = await createThreadRuntime({ threads: 1 });
  const session = await runtime.load(slow());
  let longestPauseMs = 0;
  let last = performance.now();
  const timer = setInterval(() => {
    const now = performance.now();
    longestPauseMs = Math.max(longestPauseMs, now - last);
    last = now;
  }, 5);
  const started = performance.now();
  await session.run(slowFeed);
  const runMs = performance.now() - started;
  clearInterval(timer);
  await runtime.close();
  expect(runMs).toBeGreaterThan(100);
  expect(longestPauseMs).toBeLessThan(runMs / 2);
});

/** Answers that it has loaded a model, and dies when it is to run it. */
const DYING_THREAD = `
  const { parentPort } = require('node:worker_threads');
  parentPort.on('message', ({ type, id }) => {
    if (type === 'load') parentPort.postMessage({ type: 'loaded', id, inputNames: ['x'], outputNames: ['y'] });
    else process.exit(3);
  });`;

test('a thread that dies rejects open calls and its sessions, and the next load starts another', async () => {
  let threads = 0;
  const runtime = await createThreadRuntime(
    { threads: 1 },
    {
      spawn: (workerData) => {
        threads += 1;
        if (threads === 1) return new Worker(DYING_THREAD, { eval: true });
        return new Worker(distPath('src/adapters/ort/thread.js'), { workerData });
      },
    },
  );
  const x = float32([3], [1, 2, 3]);
  const session = await runtime.load(doubling());
  const open = [session.run({ x }), session.run({ x })].map((run) =>
    expect(run).rejects.toThrow(TransientError),
  );
  await Promise.all(open);
  await expect(session.run({ x })).rejects.toThrow(/load the model again.*exitCode=3/);
  await session.release(); // nothing is left to release

  const again = await runtime.load(doubling());
  expect((await again.run({ x }, ['total']))['total']?.data[0]).toBe(12);
  expect(threads).toBe(2);
  await runtime.close();
});

test('a thread that cannot start rejects with its reason', async () => {
  const runtime = await createThreadRuntime(
    {},
    { spawn: () => new Worker("throw new Error('no luck')", { eval: true }) },
  );
  const failure = runtime.load(doubling());
  await expect(failure).rejects.toThrow(TransientError);
  await expect(failure).rejects.toThrow(/no luck/);
  await runtime.close();
});

test('closing rejects what is open, and leaves no thread', async () => {
  let thread: Worker | undefined;
  const runtime = await createThreadRuntime(
    { threads: 1 },
    {
      spawn: (workerData) =>
        (thread = new Worker(distPath('src/adapters/ort/thread.js'), { workerData })),
    },
  );
  const session = await runtime.load(slow());
  const rejection = expect(session.run(slowFeed)).rejects.toThrow(/closed while a call was open/);
  await runtime.close();
  await rejection;
  expect(thread?.threadId).toBe(-1); // an ended thread has no id
});

test('bad options are refused before a thread is started', async () => {
  await expect(createThreadRuntime({ threads: -1 })).rejects.toThrow(InvalidInputError);
  for (const executionProviders of [[], ['abacus', 'cpu']]) {
    await expect(createThreadRuntime({ executionProviders })).rejects.toThrow(InvalidInputError);
  }
});
