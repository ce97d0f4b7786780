import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Client, Connection } from '@temporalio/client';
import { bundleWorkflowCode, DefaultLogger, NativeConnection, Worker } from '@temporalio/worker';
import { createLocalObjectStore } from '../../src/adapters/local-store';
import { createThreadTrainer } from '../../src/adapters/trainer/thread-trainer';
import { registerDataset } from '../../src/datasets/register-dataset';
import type { Project } from '../../src/project';
import { readSegments } from '../../src/rollouts/segment-reader';
import { ChoiceConfig } from '../../src/schemas/choice-config';
import { RollOutInput, type RollOutResult } from '../../src/schemas/stages';
import { CreateConfig } from '../../src/schemas/train-config';
import { taskQueues } from '../../src/loop/task-queues';
import { writeCheckpoint } from '../../src/storage/checkpoints';
import type { ObjectStore } from '../../src/storage/object-store';
import { testAddress } from '../helpers/temporal-server';
import { quietRuntime } from '../helpers/workflow-bench';
import { startWorkerProcess, temporaryHome, type WorkerProcess } from '../helpers/worker-process';

beforeAll(quietRuntime);

// A real worker process, which one task of twelve ends with process.exit whenever it runs, and which is started again each time.

const PROJECT = join(__dirname, '../helpers/projects/poisoned-desk.cjs');
const TASKS = 12;
const POISON = 5;

/** What a batch needs to be in the store before it: its tasks, and a checkpoint to act. */
async function prepare(store: ObjectStore): Promise<RollOutInput> {
  const { project } = jest.requireActual<{ project: Project }>(PROJECT);
  const source = await project.datasets['desk']?.();
  if (source === undefined) throw new Error('the project has no desk');
  const dataset = await registerDataset(store, 'desk', source);
  const { files } = await createThreadTrainer({ intraOpThreads: 1 }).train({
    ...{ type: 'create', seed: 1, dataset, demonstrations: source.demonstrations },
    config: ChoiceConfig.parse(project.policies['desk']?.config),
    create: CreateConfig.parse({ batch: 2, epochs: 1 }),
  });
  const checkpoint = await writeCheckpoint(store, { files, metadata: { kind: 'choice' } });
  return RollOutInput.parse({
    ...{ run: 'poisoned.1', iteration: 0, policy: 'desk', agent: 'desk', checkpoint, dataset },
    ...{ datasetName: 'desk', shard: 0, shards: 1, repeats: 1, seed: 1, temperature: 1 },
    selection: { split: 'train', order: 'shuffled', from: 0, count: TASKS },
    rollouts: { shards: 1, concurrency: 4, timeout: '20s', attempts: 3 },
  });
}

test('a task that ends its worker process whenever it runs costs itself, and not the batch', async () => {
  const temporary = await temporaryHome();
  const log = join(temporary.home, 'executions.jsonl');
  const taskQueue = `poisoned-${randomUUID()}`;
  const store = createLocalObjectStore({ root: join(temporary.home, 'store') });
  const input = await prepare(store);
  const connection = await NativeConnection.connect({ address: testAddress() });
  const client = new Client({ connection: await Connection.connect({ address: testAddress() }) });
  const workflows = await Worker.create({
    ...{ connection, taskQueue },
    workflowBundle: await bundleWorkflowCode({
      workflowsPath: require.resolve('../helpers/workflows/roll-out-once'),
      logger: new DefaultLogger('ERROR'),
    }),
  });
  let result: RollOutResult | null = null;
  let deaths = 0;
  let worker: WorkerProcess | null = null;
  try {
    await workflows.runUntil(async () => {
      const done = client.workflow
        .execute('rollOutOnce', {
          ...{ taskQueue, workflowId: taskQueue },
          args: [taskQueues(taskQueue).rollout, input],
        })
        .then((value: RollOutResult) => (result = value));
      done.catch(() => undefined); // awaited below
      while (result === null && deaths < 8) {
        try {
          worker = await startWorkerProcess({
            ...{ home: temporary.home, taskQueue, roles: 'rollout' },
            env: { RATCHET_PROJECT: PROJECT, POISONED_DESK_LOG: log },
          });
          await Promise.race([worker.ended, done]);
        } catch (error) {
          // It may be ended before it could say that it is ready; what failed for good is said by the workflow.
          if (!String(error).includes('before it was ready')) throw error;
        }
        if (result === null) deaths += 1;
      }
      await done;
    });

    // One death leaves nothing to go by, one names who was under way, two of a rollout alone are no accident.
    expect(deaths).toBe(4);
    expect(result).toMatchObject({
      ...{ rollouts: TASKS, outcomes: { completed: TASKS - 1, infraFailed: 1 } },
      drops: { poisoned: 1 },
    });
    const { batch } = result as unknown as RollOutResult;
    for await (const { trajectories } of readSegments(store, [batch])) {
      expect(trajectories).toHaveLength(TASKS);
      for (const { task, outcome, decisions } of trajectories) {
        if (task === `train-${POISON}`)
          expect(outcome).toMatchObject({ kind: 'infraFailed', reason: 'poisoned' });
        else expect([outcome?.kind, decisions.length]).toEqual(['completed', 1]);
      }
    }

    // Whoever executed it, in whichever life: the same rollout had the same idempotency key, and nobody else had it.
    const executions = readFileSync(log, 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { n: number; idempotencyKey: string; pid: number });
    const keys = new Set(executions.map(({ n, idempotencyKey }) => `${n} ${idempotencyKey}`));
    expect(keys.size).toBe(TASKS);
    expect(new Set(executions.map(({ idempotencyKey }) => idempotencyKey)).size).toBe(TASKS);
    const ofPoison = executions.filter(({ n }) => n === POISON);
    expect(new Set(ofPoison.map(({ pid }) => pid)).size).toBe(4);
  } finally {
    await (worker as WorkerProcess | null)?.stop();
    await connection.close();
    await client.connection.close();
    await temporary.remove();
  }
}, 120_000);
