import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { RunConfig } from '../../src/schemas/run-config';
import { testAddress, testBinary } from '../helpers/temporal-server';
import { startWorkerProcess, temporaryHome, type WorkerProcess } from '../helpers/worker-process';

// The main job with nothing but the `temporal` binary and our workers, on a small desk.

const run = promisify(execFile);
const taskQueue = `cli-${randomUUID()}`;
let home: Awaited<ReturnType<typeof temporaryHome>>;
let worker: WorkerProcess;
let configFile: string;

const CONFIG = {
  policy: 'small-desk',
  dataset: 'small-desk',
  agent: 'small-desk',
  iterations: 2,
  tasksPerIteration: 400,
  reward: { weights: { customer: 1 } },
  gate: { target: 'resolution', guardrails: [{ metric: 'escalation', margin: 0.5 }] },
  report: false,
  approval: { approvers: ['ops-lead'], deadline: '10m' },
  watch: '10m',
};

interface CliResult {
  readonly stdout: string;
  readonly stderr: string;
}

async function temporal(...args: string[]): Promise<CliResult> {
  return run(await testBinary(), [...args, '--address', testAddress()]);
}

async function refusal(...args: string[]): Promise<string> {
  try {
    return `accepted: ${(await temporal(...args)).stdout}`;
  } catch (error) {
    const { stdout, stderr } = error as CliResult;
    return stdout + stderr;
  }
}

const PATIENCE_MS = 90_000;

/** Polls a command until its output fulfils the condition; says what it printed last if it never does. */
async function until(isThere: (output: string) => boolean, ...args: string[]): Promise<string> {
  const giveUpAt = Date.now() + PATIENCE_MS;
  for (;;) {
    const { stdout } = await temporal(...args);
    if (isThere(stdout)) return stdout;
    if (Date.now() > giveUpAt)
      throw new Error(`${args.join(' ')} never got there; the last output:\n${stdout}`);
    await new Promise((wake) => setTimeout(wake, 300));
  }
}

const start = (workflowId: string, file: string): Promise<CliResult> =>
  temporal(
    'workflow',
    'start',
    '--type',
    'trainingRun',
    '--task-queue',
    taskQueue,
    '--workflow-id',
    workflowId,
    '--input-file',
    file,
  );

beforeAll(async () => {
  home = await temporaryHome();
  worker = await startWorkerProcess({ home: home.home, taskQueue });
  configFile = join(home.home, 'run.json');
  await writeFile(configFile, JSON.stringify(CONFIG));
});
afterAll(async () => {
  await worker.stop();
  await home.remove();
});

test('a run is started, watched, found, approved and rolled back with the temporal binary alone', async () => {
  const id = `cli-run-${randomUUID().slice(0, 8)}`;
  await start(id, configFile);
  const query = ['workflow', 'query', '-w', id, '--name', 'status', '--output', 'json'];
  await until((output) => output.includes('awaiting-approval'), ...query);
  const list = await until(
    (output) => output.includes(id),
    'workflow',
    'list',
    '--query',
    `RatchetPhase="awaiting-approval" AND TaskQueue="${taskQueue}"`,
  );
  expect(list).toContain('trainingRun');

  // The current details hold the line that approves; it works as it is pasted.
  const metadata = (await temporal('workflow', 'metadata', '-w', id, '--output', 'json')).stdout;
  const line = /temporal workflow update execute -w (\S+) --name review --input '(\{[^']*\})'/.exec(
    metadata.replaceAll('\\"', '"').replaceAll('\\u0026', '&'),
  );
  expect(line?.[1]).toBe(id);
  const review = JSON.parse((line?.[2] ?? '').replaceAll('\\"', '"')) as Record<string, string>;
  expect(review).toMatchObject({ by: 'ops-lead', decision: 'approve' });

  const update = (input: unknown): Promise<string> =>
    refusal(
      'workflow',
      'update',
      'execute',
      '-w',
      id,
      '--name',
      'review',
      '--input',
      JSON.stringify(input),
    );
  expect(await update({ ...review, by: 'mallory' })).toContain('mallory may not decide');
  expect(await update({ ...review, candidate: 'f'.repeat(12) })).toContain('the candidate is');
  await temporal(
    'workflow',
    'signal',
    '-w',
    id,
    '--name',
    'approve',
    '--input',
    '{"candidate":"nope"}',
  );
  expect(await until((output) => output.includes('refusals'), ...query)).toContain('candidate');

  await temporal(
    'workflow',
    'signal',
    '-w',
    id,
    '--name',
    'approve',
    '--input',
    JSON.stringify({ candidate: review['candidate'], by: 'ops-lead' }),
  );
  const result = (await temporal('workflow', 'result', '-w', id, '--output', 'json')).stdout;
  expect(result).toContain('promoted');

  const routing = async (): Promise<{ generation: number; champion: string }> =>
    JSON.parse(
      (
        await temporal(
          'workflow',
          'query',
          '-w',
          'promotion.small-desk',
          '--name',
          'status',
          '--output',
          'json',
        )
      ).stdout,
    ) as { generation: number; champion: string };
  expect(JSON.stringify(await routing())).toContain('watching');
  await temporal(
    'workflow',
    'signal',
    '-w',
    'promotion.small-desk',
    '--name',
    'rollback',
    '--input',
    '{"by":"ops-lead","reason":"test"}',
  );
  expect(
    (await temporal('workflow', 'result', '-w', 'promotion.small-desk', '--output', 'json')).stdout,
  ).toContain('rolled-back');
});

describe('bad input fails the workflow at once and says what is wrong', () => {
  const failureOf = async (config: unknown): Promise<string> => {
    const id = `bad-${randomUUID().slice(0, 8)}`;
    const file = join(home.home, `${id}.json`);
    await writeFile(file, JSON.stringify(config));
    await start(id, file);
    return refusal('workflow', 'result', '-w', id);
  };

  test.each([
    ['a wrong field', { ...CONFIG, iterations: 'many' }, 'iterations'],
    ['an unknown field', { ...CONFIG, itterations: 2 }, 'itterations'],
    ['an unknown policy', { ...CONFIG, policy: 'nobody' }, 'the policy nobody is not registered'],
    ['an unknown agent', { ...CONFIG, agent: 'nobody' }, 'the agent nobody is not registered'],
    [
      'an unknown scorer',
      { ...CONFIG, gate: { target: 'nothing' } },
      'the scorer nothing is not registered',
    ],
    ['a dataset without tasks', { ...CONFIG, dataset: 'no-tasks' }, 'no tasks'],
    ['no demonstrations', { ...CONFIG, policy: 'unprepared' }, 'no demonstrations'],
  ])('%s', async (_, config, reason) => {
    expect(await failureOf(config)).toContain(reason);
  });
});

test('the run file that ships is one that the workflow takes', async () => {
  const shipped = JSON.parse(
    await readFile(join(__dirname, '../../examples/support-desk/run.json'), 'utf8'),
  ) as unknown;
  expect(RunConfig.parse(shipped)).toMatchObject({ policy: 'support-desk' });
});
