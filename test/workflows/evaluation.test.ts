import { randomUUID } from 'node:crypto';
import type { EvaluationResult, EvaluationStatus } from '../../workflows/messages';
import { digest, failure } from '../fakes/fake-activities';
import { createWorkflowBench, quietRuntime, type WorkflowBench } from '../helpers/workflow-bench';

let bench: WorkflowBench;
const config = (overrides: object = {}): unknown => ({
  policy: `p-${randomUUID().slice(0, 8)}`,
  dataset: 'fake',
  agent: 'fake',
  candidate: digest(0x42),
  gate: { target: 'resolved' },
  ...overrides,
});

beforeAll(quietRuntime);
beforeEach(async () => {
  bench = await createWorkflowBench();
});
afterEach(() => bench.close());

test('started by hand it compares a candidate with the champion, and promotes nothing', async () => {
  const handle = await bench.start('evaluation', config({ split: 'report' }));
  const { summary, champion } = (await handle.result()) as EvaluationResult;
  expect(summary).toMatchObject({
    split: 'report',
    baseline: digest(1),
    candidate: digest(0x42),
    decision: 'pass',
  });
  expect(champion).toEqual({ digest: digest(1), generation: 1 });
  expect(bench.world.calls).not.toContain('promote');
});

test('both arms attempt the same tasks, greedily', async () => {
  const handle = await bench.start('evaluation', config({ maxTasks: 7 }));
  await handle.result();
  const history = await handle.fetchHistory();
  const inputs = (history.events ?? []).flatMap((event) => {
    const scheduled = event.activityTaskScheduledEventAttributes;
    if (scheduled?.activityType?.name !== 'rollOut') return [];
    const data = scheduled.input?.payloads?.[0]?.data ?? new Uint8Array();
    return [
      JSON.parse(Buffer.from(data).toString()) as {
        checkpoint: string;
        temperature: number;
        selection: object;
      },
    ];
  });
  const selections = (checkpoint: string): object[] =>
    inputs.filter((input) => input.checkpoint === checkpoint).map(({ selection }) => selection);
  expect(selections(digest(1))).toEqual(selections(digest(0x42)));
  expect(selections(digest(1))).not.toHaveLength(0);
  expect(inputs.every(({ temperature }) => temperature === 0)).toBe(true);
});

test('a comparison whose retries are used up waits for `retry`', async () => {
  bench.world.failures.set('compare', [failure('Integrity', 'a segment is cut off')]);
  const handle = await bench.start('evaluation', config());
  const { phase } = await bench.statusWhen<EvaluationStatus>(handle, (status) =>
    status.phase.startsWith('needs-attention'),
  );
  expect(phase).toContain('a segment is cut off');
  await handle.signal('retry');
  expect(await handle.result()).toMatchObject({ summary: { decision: 'pass' } });
});

test('a wrong field fails the evaluation at once and names the path', async () => {
  const handle = await bench.start('evaluation', config({ candidate: 'latest' }));
  await expect(handle.result()).rejects.toMatchObject({
    cause: { message: expect.stringContaining('candidate') as string, type: 'InvalidInput' },
  });
});
