import { createThreadRuntime } from '../../src/adapters/ort/thread-runtime';
import { choicePolicy } from '../../src/policies/choice/policy';
import { ChoiceConfig } from '../../src/schemas/choice-config';
import type { Digest } from '../../src/schemas/ids';
import { CreateConfig } from '../../src/schemas/train-config';
import { writeCheckpoint } from '../../src/storage/checkpoints';
import { digestOf } from '../../src/storage/digest';
import type { ObjectStore } from '../../src/storage/object-store';
import { createRouting } from '../../src/storage/routing';

const ARMS = ['refund', 'weather', 'escalate'];

/** The tools that the policy of `createChampion` chooses from. */
export const championTools = ARMS.map((name) => ({
  type: 'function' as const,
  function: { name, parameters: { type: 'object' } },
}));

/** A real policy, made in a second, as the champion under this name: what a gateway needs to serve live traffic. */
export async function createChampion(store: ObjectStore, policy: string): Promise<Digest> {
  const runtime = await createThreadRuntime({ threads: 1 });
  const { files } = await choicePolicy.run(
    {
      type: 'create',
      config: ChoiceConfig.parse({
        arms: ARMS.map((name) => ({ kind: 'tool', name, tool: name })),
        features: { buckets: 512 },
        network: { embedding: 8, hidden: 8 },
      }),
      demonstrations: ARMS.map((arm) => ({ text: `please ${arm} me`, arm })),
      create: CreateConfig.parse({ batch: 2, epochs: 2 }),
      seed: 1,
      dataset: digestOf('no dataset'),
    },
    runtime,
  );
  await runtime.close();
  const champion = await writeCheckpoint(store, { files, metadata: {} });
  await createRouting(store, policy, {
    ...{ formatVersion: 1, generation: 0, champion, candidate: null, basisPoints: 0 },
    ...{ salt: 'salt', leaseUntil: null, previous: null, promotionId: null },
  });
  return champion;
}
