import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createLocalObjectStore } from '../src/adapters/local-store';
import { createThreadRuntime } from '../src/adapters/ort/thread-runtime';
import { createThreadTrainer } from '../src/adapters/trainer/thread-trainer';
import { createPolicyServer } from '../src/policies/choice/policy-server';
import type { Feedback } from '../src/policies/policy-kind';
import { stream } from '../src/rl/counter-rng';
import { ChoiceConfig } from '../src/schemas/choice-config';
import type { Tool } from '../src/schemas/message';
import { CreateConfig, TrainConfig } from '../src/schemas/train-config';
import { writeCheckpoint } from '../src/storage/checkpoints';
import { digestOf } from '../src/storage/digest';

const ARMS = Array.from({ length: 151 }, (_, i) => `arm-${i}`);
const TRAINING_THREADS = 2;
const ANSWERS = 8_000;
const AT_ONCE = 64;
const FEEDBACK = 6_000;

/** Ten words out of 3,000, of which some belong to the arm: as many features as a customer's sentence has. */
function makeTexts(count: number): { text: string; arm: string }[] {
  const random = stream({ seed: 1, purpose: 'bench.texts' });
  return Array.from({ length: count }, (_, i) => {
    const arm = i % ARMS.length;
    const words = Array.from({ length: 10 }, (_, j) =>
      j % 3 === 0 ? `own${arm}x${random.below(5)}` : `word${random.below(3_000)}`,
    );
    return { text: words.join(' '), arm: ARMS[arm] as string };
  });
}

/**
 * The choice policy at the size of the support desk: 151 arms, 32,768 × 128 embeddings.
 *
 * @returns answers and training examples per second, and the process's resident memory in MiB at the end.
 */
export async function run(): Promise<Record<string, number>> {
  const root = await mkdtemp(join(tmpdir(), 'ratchet-bench-'));
  const store = createLocalObjectStore({ root, durable: false });
  const runtime = await createThreadRuntime({ threads: 1 });
  const server = createPolicyServer({ store, runtime });
  const trainer = createThreadTrainer({ intraOpThreads: TRAINING_THREADS });
  try {
    const config = ChoiceConfig.parse({
      arms: ARMS.map((name) => ({ kind: 'tool', name, tool: name })),
    });
    const tools: Tool[] = ARMS.map((name) => ({ type: 'function', function: { name } }));
    const dataset = digestOf('bench');
    const created = await trainer.train({
      type: 'create',
      config,
      demonstrations: makeTexts(3 * ARMS.length),
      create: CreateConfig.parse({ epochs: 2 }),
      seed: 1,
      dataset,
    });
    const checkpoint = await writeCheckpoint(store, { files: created.files, metadata: {} });

    const policy = await server.serve(checkpoint);
    const texts = makeTexts(Math.max(ANSWERS, FEEDBACK));
    const feedback: Feedback[] = [];
    const answersFrom = performance.now();
    for (let from = 0; from < ANSWERS; from += AT_ONCE) {
      await Promise.all(
        texts.slice(from, from + AT_ONCE).map(async ({ text, arm }, i) => {
          const uniform = stream({ seed: 1, purpose: 'bench.act', member: from + i }).next();
          const messages = [{ role: 'user' as const, content: text }];
          const request = { model: 'ratchet/bench', messages, tools };
          const { sampled } = await policy.answer(request, { temperature: 1 }, uniform);
          if (sampled === null) throw new Error('expected a decision');
          const reward = sampled.arm === arm ? 1 : 0;
          const { propensity } = sampled;
          feedback.push({ text, available: ARMS, arm: sampled.arm, propensity, reward });
        }),
      );
    }
    const answersMs = performance.now() - answersFrom;

    const trainFrom = performance.now();
    const trained = await trainer.train({
      type: 'train',
      parent: { digest: checkpoint, files: created.files },
      feedback: feedback.slice(0, FEEDBACK),
      replay: null,
      train: TrainConfig.parse({ algorithm: 'replay', epochs: 2 }),
      seed: 1,
      iteration: 1,
      dataset,
    });
    const trainMs = performance.now() - trainFrom;
    return {
      answersPerSecond: (1_000 * feedback.length) / answersMs,
      trainingExamplesPerSecond: (1_000 * trained.examples) / trainMs,
      residentMiB: process.memoryUsage().rss / 2 ** 20,
    };
  } finally {
    await server.close();
    await runtime.close();
    await rm(root, { recursive: true, force: true });
  }
}
