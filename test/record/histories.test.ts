import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { historyToJSON } from '@temporalio/common/lib/proto-utils';
import type { WorkflowHandle } from '@temporalio/client';
import type { PromotionStatus } from '../../src/loop/promotion-state';
import type { RunStatus } from '../../src/loop/run-state';
import { digest, failure } from '../fakes/fake-activities';
import { createWorkflowBench, quietRuntime, runConfig } from '../helpers/workflow-bench';

// Records the histories that test/replay replays. Run it by hand, with a released version of the workflows:
// npm run record-histories. Recorded histories are added, never replaced: old runs must go on replaying.

const VERSION = '2';
const FOLDER = join(__dirname, '../replay/histories');

async function save(handle: WorkflowHandle, name: string, what = ''): Promise<void> {
  mkdirSync(FOLDER, { recursive: true });
  // What tells of the machine that recorded it is nobody's business, and replay does not look at it.
  const json = historyToJSON(await handle.fetchHistory())
    .replaceAll(`${join(__dirname, '../..')}/`, '')
    .replaceAll(/"identity": *"[^"]*"/g, '"identity": "worker"');
  writeFileSync(
    join(FOLDER, `${name}.${VERSION}${what === '' ? '' : `-${what}`}.json`),
    `${JSON.stringify(JSON.parse(json), null, 1)}\n`,
  );
}

beforeAll(quietRuntime);

const parked = ({ phase }: RunStatus): boolean => phase.kind === 'needs-attention';
const asked = ({ phase }: RunStatus): boolean => phase.kind === 'awaiting-approval';
const approval = (candidate: number): unknown => ({ candidate: digest(candidate), by: 'ops-lead' });

test('record one history of every workflow', async () => {
  const bench = await createWorkflowBench();
  try {
    bench.world.champion = null;
    bench.world.failures.set('train', [failure('Numerical', 'the loss is not finite')]);
    bench.world.failures.set('compare', [failure('Integrity', 'a segment is cut off')]);
    bench.world.drops = { 'upstream-error': 1 };
    const run = await bench.start(
      'trainingRun',
      runConfig('recorded', { report: true }),
      'recorded-run',
    );
    // Parked three times: by drops, by its training, by its evaluation.
    await bench.statusWhen(run, parked);
    bench.world.drops = {};
    await run.signal('approve', 'garbage');
    await run.signal('retry');
    await bench.statusWhen<RunStatus>(
      run,
      ({ phase }) => phase.kind === 'needs-attention' && phase.step.startsWith('training'),
    );
    await run.signal('retry');
    await bench.statusWhen<RunStatus>(
      run,
      ({ phase }) => phase.kind === 'needs-attention' && phase.step.startsWith('comparing'),
    );
    await run.signal('retry');
    await bench.statusWhen(run, asked);
    await run.executeUpdate<unknown, [unknown]>('review', {
      args: [{ ...(approval(0x102) as object), decision: 'approve' }],
    });
    await run.result();
    await save(run, 'training-run');
    await save(bench.client.workflow.getHandle('recorded-run.gate-1'), 'evaluation');
    const promotion = bench.client.workflow.getHandle('promotion.recorded');
    await bench.statusWhen<PromotionStatus>(promotion, ({ phase }) => phase.kind === 'watching');
    await promotion.signal('rollback', { by: 'ops-lead', reason: 'recorded' });
    await promotion.result();
    await save(promotion, 'promotion');
  } finally {
    await bench.close();
  }
});

test('record a run that continues as new, one whose queue nobody polls, one that is paused, stopped and given up, one that is cancelled', async () => {
  const bench = await createWorkflowBench();
  try {
    const continued = await bench.start(
      'trainingRun',
      runConfig('continued', { iterations: 3, iterationsPerHistory: 2 }),
      'recorded-continued',
    );
    const { runId } = await continued.describe();
    await bench.statusWhen(continued, asked);
    await save(
      bench.client.workflow.getHandle('recorded-continued', runId),
      'training-run',
      'continued',
    );
    await continued.terminate();

    let finishTraining: () => void = () => undefined;
    bench.world.trainGate = new Promise((resolve) => (finishTraining = resolve));
    const unattended = await bench.start(
      'trainingRun',
      runConfig('unattended'),
      'recorded-unattended',
    );
    await bench.statusWhen<RunStatus>(unattended, ({ phase }) => phase.kind === 'training');
    await unattended.signal('queueUnattended', {
      queue: `${bench.taskQueue}-gpu`,
      since: '2026-11-24T08:00:00.000Z',
    });
    await bench.statusWhen(unattended, parked);
    await unattended.signal('queueAttended', { queue: `${bench.taskQueue}-gpu` });
    await bench.statusWhen<RunStatus>(unattended, ({ phase }) => phase.kind === 'training');
    finishTraining();
    await bench.statusWhen(unattended, asked);
    await unattended.signal('reject', approval(0x102));
    await unattended.result();
    await save(unattended, 'training-run', 'unattended');

    bench.world.trainGate = new Promise((resolve) => (finishTraining = resolve));
    const stopped = await bench.start(
      'trainingRun',
      runConfig('stopped', { iterations: 1 }),
      'recorded-stopped',
    );
    await bench.statusWhen<RunStatus>(stopped, ({ phase }) => phase.kind === 'training');
    await stopped.signal('pause');
    finishTraining();
    await bench.statusWhen<RunStatus>(stopped, ({ phase }) => phase.kind === 'paused');
    bench.world.failures.set('compare', [failure('Integrity', 'a segment is cut off')]);
    await stopped.signal('resume');
    await bench.statusWhen(stopped, parked);
    await stopped.signal('stop');
    await stopped.result();
    await save(stopped, 'training-run', 'stopped');
    await save(
      bench.client.workflow.getHandle('recorded-stopped.gate-1'),
      'evaluation',
      'cancelled',
    );

    bench.world.trainGate = new Promise(() => undefined);
    const cancelled = await bench.start(
      'trainingRun',
      runConfig('cancelled'),
      'recorded-cancelled',
    );
    await bench.statusWhen<RunStatus>(cancelled, ({ phase }) => phase.kind === 'training');
    await cancelled.cancel();
    await cancelled.result().catch(() => undefined); // it says that it was cancelled
    await save(cancelled, 'training-run', 'cancelled');
  } finally {
    await bench.close();
  }
});
