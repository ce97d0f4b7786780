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

const VERSION = '1';
const FOLDER = join(__dirname, '../replay/histories');

async function save(handle: WorkflowHandle, name: string): Promise<void> {
  mkdirSync(FOLDER, { recursive: true });
  // What tells of the machine that recorded it is nobody's business, and replay does not look at it.
  const json = historyToJSON(await handle.fetchHistory())
    .replaceAll(`${join(__dirname, '../..')}/`, '')
    .replaceAll(/"identity": *"[^"]*"/g, '"identity": "worker"');
  writeFileSync(
    join(FOLDER, `${name}.${VERSION}.json`),
    `${JSON.stringify(JSON.parse(json), null, 1)}\n`,
  );
}

beforeAll(quietRuntime);

test('record one history of every workflow', async () => {
  const bench = await createWorkflowBench();
  try {
    bench.world.champion = null;
    bench.world.failures.set('train', [failure('Numerical', 'the loss is not finite')]);
    const run = await bench.start(
      'trainingRun',
      runConfig('recorded', { report: true }),
      'recorded-run',
    );
    await bench.statusWhen<RunStatus>(run, ({ phase }) => phase.kind === 'needs-attention');
    await run.signal('approve', 'garbage');
    await run.signal('retry');
    await bench.statusWhen<RunStatus>(run, ({ phase }) => phase.kind === 'awaiting-approval');
    await run.executeUpdate<unknown, [unknown]>('review', {
      args: [{ candidate: digest(0x102), by: 'ops-lead', decision: 'approve' }],
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
