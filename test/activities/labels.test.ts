import { createTrainActivities } from '../../activities/train';
import { createDatasetReader } from '../../src/datasets/dataset-reader';
import { registerDataset } from '../../src/datasets/register-dataset';
import { IntegrityError } from '../../src/errors';
import type { TrainingJob } from '../../src/policies/policy-kind';
import type { Project } from '../../src/project';
import { TrainInput } from '../../src/schemas/stages';
import { datasetFolder } from '../../src/storage/keys';
import type { ObjectStore } from '../../src/storage/object-store';
import { ARMS, config, LABEL, openDesk, runActivity, source, type Desk } from './desk';
import { createRecordingTrainer, textOfJob } from './recording-trainer';

// Labels reach simulated customers and scorers, never the trainer.

const counts = { train: 30, select: 5, gate: 5, report: 5 };
const project: Project = {
  agents: {},
  scorers: [],
  datasets: { desk: async () => source(counts) },
  policies: { support: { config, createFrom: { dataset: 'desk' } } },
};

interface Scored {
  readonly desk: Desk;
  readonly input: TrainInput;
}

/** An iteration as the workflow leads it, up to its training: rolled out, scored. */
async function rolledOutAndScored(): Promise<Scored> {
  const desk = await openDesk({ counts });
  const rolledOut = await runActivity(() =>
    desk.rollout.rollOut(
      desk.rollOutInput({
        selection: { split: 'train', order: 'shuffled', from: 0, count: 30 },
        repeats: 2,
      }),
    ),
  );
  const place = { run: 'desk-1.abc', iteration: 2 };
  const scored = await runActivity(() =>
    desk.score.score({
      ...place,
      ...{ dataset: desk.dataset, datasetName: 'desk', batches: [rolledOut.batch] },
      weights: { resolved: 1 },
    }),
  );
  const input = TrainInput.parse({
    ...{ ...place, policy: 'support', dataset: desk.dataset, parent: desk.checkpoint },
    ...{ batches: [rolledOut.batch], rewards: scored.rewards, weights: { resolved: 1 } },
    ...{ replay: null, train: { algorithm: 'replay' }, seed: 7 },
  });
  return { desk, input };
}

const referencesKey = ({ desk }: Scored): string =>
  `${datasetFolder('desk', desk.dataset)}references.jsonl`;

/** The job that the training activity hands over, and the keys that it read on the way. */
async function jobOf(
  { desk, input }: Scored,
  overrides: Partial<TrainInput> = {},
): Promise<{ job: TrainingJob; read: string[] }> {
  const read: string[] = [];
  const store: ObjectStore = {
    ...desk.store,
    get: (key) => {
      read.push(key);
      return desk.store.get(key);
    },
    getStream: (key, range) => {
      read.push(key);
      return desk.store.getStream(key, range);
    },
  };
  const trainer = createRecordingTrainer();
  const datasets = createDatasetReader(store);
  const deps = { store, datasets, project, trainer, stateEvery: 100 };
  const activities = createTrainActivities(deps);
  await runActivity(() => activities.train({ ...input, ...overrides }));
  return { job: trainer.jobs[0] as TrainingJob, read };
}

describe('the trainer never sees a label', () => {
  let scored: Scored;
  beforeEach(async () => {
    scored = await rolledOutAndScored();
  });

  it('though the rewards of its job came from them', async () => {
    const { job } = await jobOf(scored);
    if (job.type !== 'train') throw new Error('expected a training from reward');
    expect(job.feedback).toHaveLength(60);
    for (const { text, arm, reward } of job.feedback) {
      const n = Number(/^query train (\d+)$/.exec(text)?.[1]);
      expect(reward).toBe(arm === ARMS[n % ARMS.length] ? 1 : 0);
    }
  });

  it('since it opens no file of a dataset', async () => {
    const { read } = await jobOf(scored);
    expect(read.filter((key) => key.startsWith('v1/datasets/'))).toEqual([]);
    expect(read.length).toBeGreaterThan(3); // the spy sees what is read
  });

  it('since its job is the same where the file of labels is missing', async () => {
    const { job } = await jobOf(scored);
    await scored.desk.store.delete(referencesKey(scored));
    await expect(jobOf(scored)).resolves.toMatchObject({ job });
  });

  it('since its job is the same where the file of labels is garbage', async () => {
    const { job } = await jobOf(scored);
    await scored.desk.store.put(referencesKey(scored), Buffer.from('\u0000 not { json'));
    const reading = createDatasetReader(scored.desk.store).references('desk', scored.desk.dataset);
    await expect(reading).rejects.toThrow(IntegrityError); // whoever does read them would notice
    await expect(jobOf(scored)).resolves.toMatchObject({ job });
  });

  it('since its job is the same, but for the dataset’s name, where all labels are swapped after scoring', async () => {
    const { job } = await jobOf(scored);
    const swapped = source(counts, (n) => ARMS[(n + 1) % ARMS.length] as string);
    const dataset = await registerDataset(scored.desk.store, 'desk', swapped);
    expect(dataset).not.toBe(scored.desk.dataset);
    const other = await jobOf(scored, { dataset });
    expect({ ...other.job, dataset: null }).toEqual({ ...job, dataset: null });
  });

  it('since no byte of its job comes from a reference', async () => {
    const text = textOfJob((await jobOf(scored)).job);
    const labels = source(counts).tasks.flatMap(({ family, slice, reference }) => [
      ...[family, slice],
      (reference as { secret: string }).secret,
    ]);
    expect(labels.filter((label) => text.includes(label))).toEqual([]);
    expect(text).not.toContain(LABEL);
    expect(text).toContain('query train 7'); // the check sees what is in a job
  });

  it('nor the name of a task, by which one could be looked up', async () => {
    const text = textOfJob((await jobOf(scored)).job);
    for (const { id } of source(counts).tasks) expect(text).not.toContain(`"${id}"`);
  });
});

describe('a policy is created from demonstrations alone', () => {
  it('so that its job holds no reference of any task', async () => {
    const { store } = await openDesk({ counts });
    const trainer = createRecordingTrainer();
    const datasets = createDatasetReader(store);
    const deps = { store, datasets, project, trainer, stateEvery: 100 };
    const activities = createTrainActivities(deps);
    await runActivity(() =>
      activities.createPolicy({ run: 'desk-1.abc', policy: 'support', seed: 1 }),
    );
    const [job] = trainer.jobs;
    expect(job).toMatchObject({ type: 'create', demonstrations: source(counts).demonstrations });
    expect(textOfJob(job as TrainingJob)).not.toContain(LABEL);
    expect(textOfJob(job as TrainingJob)).not.toContain('query ');
  });
});
