import { ApplicationFailure } from '@temporalio/common';
import { createThreadRuntime } from '../../src/adapters/ort/thread-runtime';
import { IntegrityError } from '../../src/errors';
import { createRoutingReader } from '../../src/gateway/routing-reader';
import { choicePolicy } from '../../src/policies/choice/policy';
import { createPolicyServer } from '../../src/policies/choice/policy-server';
import { ChoiceConfig } from '../../src/schemas/choice-config';
import type { PolicyServer } from '../../src/policies/policy-server';
import type { TensorRuntime } from '../../src/ports/tensor-runtime';
import { RollOutInput } from '../../src/schemas/stages';
import { CreateConfig } from '../../src/schemas/train-config';
import { decodeChecked, encodeChecked } from '../../src/storage/checked-json';
import { writeCheckpoint } from '../../src/storage/checkpoints';
import { blobKey, checkpointFolder, promotionKey, routingKey } from '../../src/storage/keys';
import type { ObjectStore } from '../../src/storage/object-store';
import { createRouting, readRouting, Routing } from '../../src/storage/routing';
import { createMemoryObjectStore } from '../fakes/memory-object-store';
import { damage, flipBit, keyMatching, quarantined, type DamageKind } from '../helpers/damage';
import {
  activitiesOn,
  createExecution,
  oneIteration,
  POLICY,
  RUN,
  runConfig,
  type Iteration,
} from '../helpers/small-iteration';
import { ARMS, config as deskConfig } from './desk';
import { ownAnswer } from '../helpers/own-answer';

const KINDS: readonly DamageKind[] = ['truncated', 'altered'];

let store: ObjectStore;
let iteration: Iteration;
beforeEach(async () => {
  store = createMemoryObjectStore();
  iteration = await oneIteration(activitiesOn(store));
});

type Activities = ReturnType<typeof activitiesOn>;

const train = (activities: Activities, rest: object = {}): Promise<unknown> =>
  activities.train({
    ...{ run: RUN, iteration: 1, policy: POLICY, dataset: iteration.dataset },
    ...{ parent: iteration.candidate, batches: [iteration.trained.batch.batch] },
    ...{ rewards: iteration.trained.scored.rewards, weights: { resolved: 1 }, replay: null },
    ...{ train: runConfig.train, seed: 1, ...rest },
  });
const score = (activities: Activities): Promise<unknown> =>
  activities.score({
    ...{ run: RUN, iteration: 0, dataset: iteration.dataset, datasetName: 'desk' },
    ...{ batches: [iteration.trained.batch.batch], weights: { resolved: 1 } },
  });
const rollOut = (activities: Activities): Promise<unknown> =>
  activities.rollOut(
    RollOutInput.parse({
      ...{ run: RUN, iteration: 1, policy: POLICY, agent: 'desk', dataset: iteration.dataset },
      ...{ checkpoint: iteration.candidate, datasetName: 'desk', shard: 0, shards: 1, repeats: 1 },
      selection: { split: 'train', order: 'shuffled', from: 0, count: 4 },
      ...{ seed: 7, temperature: 1, rollouts: { timeout: '5s', concurrency: 4 } },
    }),
  );

/** An activity meets the damage: it fails for good, says which object and why, and the bytes are put aside; nothing else has moved. */
async function expectQuarantine(
  key: string,
  kind: DamageKind,
  activity: (activities: Activities) => Promise<unknown>,
): Promise<void> {
  const routing = await readRouting(store, POLICY);
  const bytes = await damage(store, key, kind);
  const execution = createExecution({ activityType: 'meets-damage' });
  const failure: unknown = await execution
    .run('meets-damage', () => activity(activitiesOn(store)))
    .catch((error: unknown) => error);

  expect(failure).toBeInstanceOf(ApplicationFailure);
  const { type, nonRetryable, message } = failure as ApplicationFailure;
  expect([type, nonRetryable, execution.failures.length]).toEqual(['Integrity', true, 1]);
  expect(message).toContain(key);
  expect(message).toMatch(/expected (sha256|a line end|JSON|checksum)/);
  expect(message).toMatch(/got (sha256|"|[0-9a-f]{64})/);
  expect(message).toContain('its bytes were moved to v1/quarantine/');
  expect(await store.head(key)).toBeNull();
  const aside = await quarantined(store, key, bytes);
  expect(aside.bytes).toEqual(bytes);
  expect(aside.note).toMatchObject({ key, by: 'meets-damage', got: { sizeBytes: bytes.length } });
  expect(await readRouting(store, POLICY)).toEqual(routing);
}

describe.each(KINDS)('an object that was %s is refused and put aside:', (kind) => {
  it('a file of a checkpoint', async () => {
    const key = `${checkpointFolder(iteration.candidate)}model.safetensors`;
    await expectQuarantine(key, kind, train);
  });

  it('a file of a checkpoint that is about to act', async () => {
    const key = `${checkpointFolder(iteration.candidate)}config.json`;
    await expectQuarantine(key, kind, rollOut);
  });

  it('the manifest of a checkpoint', async () => {
    await expectQuarantine(`${checkpointFolder(iteration.candidate)}manifest.json`, kind, train);
  });

  it('a segment of trajectories', async () => {
    const key = await keyMatching(store, new RegExp(`runs/${RUN}/.*trajectories/.*-0\\.jsonl$`));
    await expectQuarantine(key, kind, score);
  });

  it('the manifest of a batch', async () => {
    await expectQuarantine(iteration.trained.batch.batch.key, kind, score);
  });

  it('a segment of rewards', async () => {
    await expectQuarantine(iteration.trained.scored.rewards.key, kind, train);
  });

  it('a replay buffer', async () => {
    const replay = await keyMatching(store, /^v1\/blobs\//);
    const { bytes } = await store.get(replay);
    const ref = { key: replay, sha256: replay.slice(-64), sizeBytes: bytes.byteLength };
    expect(replay).toBe(blobKey(ref.sha256));
    await expectQuarantine(replay, kind, (activities) => train(activities, { replay: ref }));
  });

  it('a dataset', async () => {
    await expectQuarantine(
      await keyMatching(store, /^v1\/datasets\/.*tasks\.jsonl$/),
      kind,
      rollOut,
    );
  });

  it('the record of a promotion that died before its pointer', async () => {
    // The pointer is as it was before; the record of what was approved lies there already.
    const first = createMemoryObjectStore();
    await createRouting(first, POLICY, {
      ...{ formatVersion: 1, generation: 1, champion: iteration.base, candidate: null },
      ...{ basisPoints: 0, salt: POLICY, leaseUntil: null, previous: null, promotionId: null },
    });
    await store.put(routingKey(POLICY), (await first.get(routingKey(POLICY))).bytes);
    await expectQuarantine(promotionKey(POLICY, 2, 'promotion-1'), kind, (activities) =>
      activities.promote({
        policy: POLICY,
        promotionId: 'promotion-1',
        approval: {
          request: {
            ...{ candidate: iteration.candidate, evaluation: iteration.evaluation },
            ...{ dataset: iteration.dataset, champion: { digest: iteration.base, generation: 1 } },
            ...{ requestedAt: '2026-11-24T09:00:00Z', deadline: '2026-12-01T09:00:00Z' },
          },
          ...{ decision: 'approve', by: 'ops-lead', at: '2026-11-24T09:30:00Z' },
          ...{ via: 'update', authenticated: false },
        },
      }),
    );
  });

  it('but a routing pointer stays, and only a copy is put aside: a policy without one answers nobody', async () => {
    const key = routingKey(POLICY);
    const bytes = await damage(store, key, kind);
    const failure: unknown = await createExecution()
      .run('openPromotion', () =>
        activitiesOn(store).openPromotion({ policy: POLICY, candidate: iteration.candidate }),
      )
      .catch((error: unknown) => error);
    expect(failure).toMatchObject({ type: 'Integrity', nonRetryable: true });
    expect(String(failure)).toContain(key);
    expect(String(failure)).toContain('it stays in its place');
    expect((await store.get(key)).bytes).toEqual(bytes);
    expect((await quarantined(store, key, bytes)).note).toMatchObject({ key });
  });
});

it('what was put aside is mended by whoever commits the same content again, and training goes on to the same bytes', async () => {
  const unbroken = (await train(activitiesOnRun())) as { checkpoint: string };
  const key = `${checkpointFolder(iteration.candidate)}model.safetensors`;
  const before = (await store.get(key)).bytes;
  await expectQuarantine(key, 'altered', train);
  await train(activitiesOnRun(), { iteration: 0, parent: iteration.base }); // what made the parent
  expect((await store.get(key)).bytes).toEqual(before);
  expect(await train(activitiesOnRun())).toMatchObject({ checkpoint: unbroken.checkpoint });
});

/** Activities that run in an execution of their own. */
function activitiesOnRun(): Activities {
  const activities = activitiesOn(store);
  return {
    ...activities,
    train: (input) => createExecution().run('train', () => activities.train(input)),
  };
}

it('a writer that finds damage in the place of its own content does not take it for its own', async () => {
  const key = `${checkpointFolder(iteration.candidate)}model.safetensors`;
  const before = (await store.get(key)).bytes;
  const bytes = await damage(store, key, 'truncated');
  await train(activitiesOnRun(), { iteration: 0, parent: iteration.base });
  expect((await store.get(key)).bytes).toEqual(before);
  expect((await quarantined(store, key, bytes)).note).toMatchObject({ key, by: 'writer' });
});

it('damage that is only in the reading is read again, and nothing is put aside', async () => {
  const key = `${checkpointFolder(iteration.candidate)}model.safetensors`;
  let isFirst = true;
  const flaky: ObjectStore = {
    ...store,
    async get(asked) {
      const got = await store.get(asked);
      if (asked !== key || !isFirst) return got;
      isFirst = false;
      return { ...got, bytes: flipBit(got.bytes, 3, 1) };
    },
  };
  const execution = createExecution();
  await expect(execution.run('train', () => train(activitiesOn(flaky)))).resolves.toBeDefined();
  expect(execution.failures).toEqual([expect.stringContaining('whole now')]);
  expect(await store.head(key)).not.toBeNull();
});

it('no single flipped bit of a routing pointer or of a record goes unnoticed', async () => {
  const key = routingKey(POLICY);
  const { bytes } = await store.get(key);
  const good = decodeChecked(bytes, Routing, key);
  expect(encodeChecked(good)).toEqual(bytes);
  for (let at = 0; at < bytes.byteLength; at += 1) {
    for (let bit = 0; bit < 8; bit += 1) {
      expect(() => decodeChecked(flipBit(bytes, at, bit), Routing, key)).toThrow(IntegrityError);
    }
  }
});

it('a gateway goes on serving the champion that it has loaded, whatever becomes of its pointer and its files', async () => {
  const runtime = await createThreadRuntime({ threads: 1 });
  const policies = createPolicyServer({ store, runtime });
  try {
    await serveThroughDamage(runtime, policies);
  } finally {
    await policies.close();
    await runtime.close();
  }
});

async function serveThroughDamage(runtime: TensorRuntime, policies: PolicyServer): Promise<void> {
  const config = ChoiceConfig.parse({
    ...deskConfig,
    features: { ...deskConfig.features, buckets: 1024 },
  });
  const { files } = await choicePolicy.run(
    {
      ...{ type: 'create', config, create: CreateConfig.parse({ epochs: 1 }), seed: 1 },
      demonstrations: ARMS.map((arm) => ({ text: `please ${arm}`, arm })),
      dataset: iteration.dataset,
    },
    runtime,
  );
  const champion = await writeCheckpoint(store, { files, metadata: { kind: 'choice' } });
  await createRouting(store, 'served', {
    ...{ formatVersion: 1, generation: 1, champion, candidate: null, basisPoints: 0, salt: 's' },
    ...{ leaseUntil: null, previous: null, promotionId: null },
  });
  let now = 0;
  const routing = createRoutingReader(store, { now: () => now });
  const ask = async (): Promise<unknown> => {
    now += 10_000; // later than any cache
    const digest = await routing.resolve('served', 'session');
    if (digest === null) throw new Error('no such policy');
    const policy = await policies.serve(digest);
    const tools = [{ type: 'function' as const, function: { name: 'refund' } }];
    const messages = [{ role: 'user' as const, content: 'my money back' }];
    return ownAnswer(await policy.answer({ model: 'm', messages, tools }, { temperature: 0 }, 0))
      .message;
  };
  const before = await ask();
  await damage(store, routingKey('served'), 'truncated');
  for (const file of ['model.safetensors', 'config.json', 'manifest.json'])
    await damage(store, `${checkpointFolder(champion)}${file}`, 'altered');
  expect(await ask()).toEqual(before);
  // One that starts now has nothing to serve, and says so.
  await expect(createRoutingReader(store).resolve('served', 'session')).rejects.toThrow(
    IntegrityError,
  );
  await expect(createPolicyServer({ store, runtime }).serve(champion)).rejects.toThrow(
    IntegrityError,
  );
}
