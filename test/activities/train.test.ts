import { createTrainActivities, type TrainActivities } from '../../activities/train';
import { workerShutdown } from '../../activities/worker-shutdown';
import { createDatasetReader } from '../../src/datasets/dataset-reader';
import { InvalidInputError, NotFoundError, TransientError } from '../../src/errors';
import { noHandOver } from '../../src/ports/hand-over';
import type { TrainingOptions } from '../../src/policies/policy-kind';
import type { Project } from '../../src/project';
import type { ObjectRef } from '../../src/schemas/object-ref';
import { readCheckpointManifest } from '../../src/storage/checkpoints';
import { runPrefix } from '../../src/storage/keys';
import { putRef, readRef } from '../../src/storage/object-ref';
import type { ObjectStore } from '../../src/storage/object-store';
import { createMemoryObjectStore } from '../fakes/memory-object-store';
import { activityEnvironment, ARMS, config, runActivity, source } from './desk';
import { createRecordingTrainer, type RecordingTrainer } from './recording-trainer';

const project: Project = {
  agents: {},
  scorers: [],
  datasets: { desk: async () => source({ train: 5 }) },
  policies: {
    support: { config, createFrom: { dataset: 'desk' } },
    homeless: { config, createFrom: { dataset: 'nowhere' } },
  },
};
const order = { run: 'desk-1.abc', policy: 'support', seed: 1 };

function activitiesOn(
  store: ObjectStore,
  trainer: RecordingTrainer,
  handOver = noHandOver(),
): TrainActivities {
  const datasets = createDatasetReader(store);
  return createTrainActivities({ store, datasets, project, trainer, stateEvery: 50, handOver });
}

async function statesIn(store: ObjectStore): Promise<string[]> {
  const keys: string[] = [];
  for await (const { key } of store.list(`${runPrefix(order.run, 0)}state/`)) keys.push(key);
  return keys;
}

/** A training of two states; at the end of the second one it does what the test wants. */
const twoStates =
  (then: () => void = () => undefined) =>
  async ({ onProgress, onState }: TrainingOptions): Promise<void> => {
    for (const done of [50, 100]) {
      onProgress?.({ done, of: 150, loss: done === 50 ? 0.25 : Number.NaN });
      await onState?.(Buffer.from(`state after ${done}`));
    }
    then();
  };

describe('a training', () => {
  it('commits its checkpoint under its own digest', async () => {
    const store = createMemoryObjectStore();
    const activities = activitiesOn(store, createRecordingTrainer());
    const first = await runActivity(() => activities.createPolicy(order));
    await expect(readCheckpointManifest(store, first.checkpoint)).resolves.toMatchObject({
      kind: 'checkpoint',
      metadata: { kind: 'choice' },
    });
    await expect(runActivity(() => activities.createPolicy(order))).resolves.toEqual(first);
  });

  it('hands the trainer the demonstrations, the seed and a signal', async () => {
    const trainer = createRecordingTrainer();
    await runActivity(() => activitiesOn(createMemoryObjectStore(), trainer).createPolicy(order));
    expect(trainer.jobs).toMatchObject([
      { type: 'create', config, seed: 1, demonstrations: ARMS.map((arm) => ({ arm })) },
    ]);
    expect(trainer.options[0]).toMatchObject({ stateEvery: 50 });
    expect(trainer.options[0]?.signal).toBeInstanceOf(AbortSignal);
    expect(trainer.options[0]).not.toHaveProperty('resumeFrom');
  });

  it('of a policy that is not registered is refused', async () => {
    const activities = activitiesOn(createMemoryObjectStore(), createRecordingTrainer());
    for (const policy of ['unknown', 'homeless']) {
      const created = runActivity(() => activities.createPolicy({ ...order, policy }));
      await expect(created).rejects.toThrow(InvalidInputError);
      await expect(created).rejects.toThrow(`policy=${policy}`);
    }
  });
});

describe('a training whose worker is told to stop', () => {
  it('hands its trainer the signal, and ends with its reason once the last state is named in the heartbeat', async () => {
    const store = createMemoryObjectStore();
    const begun = new AbortController();
    const handOver = { begun: begun.signal, due: new AbortController().signal };
    const beats: { state: ObjectRef | null }[] = [];
    const environment = activityEnvironment();
    environment.on('heartbeat', (details: (typeof beats)[number]) => {
      beats.push(details);
    });
    const trainer = createRecordingTrainer(async ({ handOver: signal, onState }) => {
      begun.abort(workerShutdown());
      await onState?.(Buffer.from('as far as it went'));
      signal?.throwIfAborted();
    });
    const stopped = environment.run(() =>
      activitiesOn(store, trainer, handOver).createPolicy(order),
    );
    await expect(stopped).rejects.toMatchObject({ type: 'WorkerShutdown', nonRetryable: false });
    const state = await readRef(store, beats.at(-1)?.state as ObjectRef);
    expect(Buffer.from(state).toString()).toBe('as far as it went');
  });
});

describe('a training whose worker died', () => {
  it('names its newest state in the heartbeat, and a loss only if it is a number', async () => {
    const store = createMemoryObjectStore();
    const beats: { done: number; loss: number | null; state: ObjectRef | null }[] = [];
    const environment = activityEnvironment();
    environment.on('heartbeat', (details: (typeof beats)[number]) => {
      beats.push(details);
    });
    const trainer = createRecordingTrainer(
      twoStates(() => {
        throw new TransientError('the thread died');
      }),
    );
    const training = environment.run(() => activitiesOn(store, trainer).createPolicy(order));
    await expect(training).rejects.toThrow('the thread died');
    const last = beats.at(-1);
    expect(last).toMatchObject({ done: 100, of: 150, loss: null });
    const state = await readRef(store, last?.state as ObjectRef);
    expect(Buffer.from(state).toString()).toBe('state after 100');
    await expect(statesIn(store)).resolves.toHaveLength(2); // for the next attempt
  });

  const resume = async (
    store: ObjectStore,
    trainer: RecordingTrainer,
    state: ObjectRef | null,
  ): Promise<void> => {
    const heartbeatDetails = { done: 100, of: 150, loss: null, state };
    await activityEnvironment({ attempt: 2, heartbeatDetails }).run(() =>
      activitiesOn(store, trainer).createPolicy(order),
    );
  };
  const stored = (store: ObjectStore): Promise<ObjectRef> =>
    putRef(store, `${runPrefix(order.run, 0)}state/test-1-beef-0.bin`, Buffer.from('half way'));

  it('goes on from that state, with the very same job', async () => {
    const store = createMemoryObjectStore();
    const trainer = createRecordingTrainer();
    await runActivity(() => activitiesOn(store, trainer).createPolicy(order));
    await resume(store, trainer, await stored(store));
    expect(trainer.jobs[1]).toEqual(trainer.jobs[0]);
    const { resumeFrom } = trainer.options[1] ?? {};
    expect(Buffer.from(resumeFrom ?? []).toString()).toBe('half way');
  });

  it('begins anew where it wrote no state', async () => {
    const trainer = createRecordingTrainer();
    await resume(createMemoryObjectStore(), trainer, null);
    expect(trainer.options[0]).not.toHaveProperty('resumeFrom');
  });

  it('begins anew where the state was tidied away: it died between the end of its training and its result', async () => {
    const store = createMemoryObjectStore();
    const trainer = createRecordingTrainer();
    const state = await stored(store);
    await store.delete(state.key);
    await resume(store, trainer, state);
    expect(trainer.options[0]).not.toHaveProperty('resumeFrom');
  });

  it('leaves no state behind once it is done, neither its own nor the one it went on from', async () => {
    const store = createMemoryObjectStore();
    await resume(store, createRecordingTrainer(twoStates()), await stored(store));
    await expect(statesIn(store)).resolves.toEqual([]);
  });

  it('is done even where a state cannot be tidied away', async () => {
    const store = createMemoryObjectStore();
    const stubborn: ObjectStore = {
      ...store,
      delete: async () => {
        throw new TransientError('try again');
      },
    };
    await resume(stubborn, createRecordingTrainer(twoStates()), await stored(store));
    await expect(statesIn(store)).resolves.toHaveLength(3);
  });

  it('fails where its state cannot be read for another reason', async () => {
    const store = createMemoryObjectStore();
    const state = await stored(store);
    const resumed = resume(store, createRecordingTrainer(), { ...state, sha256: '0'.repeat(64) });
    await expect(resumed).rejects.toThrow(/not the ones that were committed/);
    await expect(resumed).rejects.not.toThrow(NotFoundError);
  });
});
