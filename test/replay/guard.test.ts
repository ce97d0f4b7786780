import { cp, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  bundleWorkflowCode,
  DefaultLogger,
  Worker,
  type WorkflowBundleWithSourceMap,
} from '@temporalio/worker';
import { DeterminismViolationError } from '@temporalio/workflow';
import { quietRuntime } from '../helpers/workflow-bench';
import { HISTORIES, readHistory } from './histories';

// Proves that replay.test.ts would catch a change that breaks running workflows: the same histories, changed code.

const ROOT = join(__dirname, '../..');
const WORKFLOWS = ['training-run', 'evaluation', 'promotion'];

/** Replaces a text that has to be there: a change that changes nothing would prove nothing. */
async function edit(file: string, from: string | RegExp, to: string): Promise<void> {
  const before = await readFile(file, 'utf8');
  const after = before.replace(from, to);
  if (after === before) throw new Error(`${file}: expected to find ${String(from)}`);
  await writeFile(file, after);
}

/** The workflows, bundled from a copy that `change` has edited. */
async function bundleChanged(
  change: (workflows: string) => Promise<void>,
): Promise<WorkflowBundleWithSourceMap> {
  const folder = await mkdtemp(join(tmpdir(), 'ratchet-changed-'));
  try {
    for (const part of ['workflows', 'src', 'activities'])
      await cp(join(ROOT, part), join(folder, part), { recursive: true });
    await symlink(join(ROOT, 'node_modules'), join(folder, 'node_modules'));
    await change(join(folder, 'workflows'));
    return await bundleWorkflowCode({
      workflowsPath: join(folder, 'workflows/index.ts'),
      logger: new DefaultLogger('ERROR'),
    });
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function replay(file: string, workflowBundle: WorkflowBundleWithSourceMap): Promise<unknown> {
  const { history, workflowId } = await readHistory(file);
  try {
    await Worker.runReplayHistory({ workflowBundle }, history, workflowId);
    return 'passed';
  } catch (error) {
    return error;
  }
}

beforeAll(quietRuntime);

test('an unchanged copy replays: what the others find is due to the change', async () => {
  const bundle = await bundleChanged(async () => undefined);
  for (const file of HISTORIES)
    expect([file, await replay(file, bundle)]).toEqual([file, 'passed']);
});

test('a timer before the first command of each workflow is caught in every history', async () => {
  const bundle = await bundleChanged(async (workflows) => {
    for (const name of WORKFLOWS) {
      const file = join(workflows, `${name}.ts`);
      await edit(
        file,
        'const info = workflowInfo();',
        "await sleep('1s');\n  const info = workflowInfo();",
      );
      await edit(file, 'import {', 'import {\n  sleep,');
    }
  });
  for (const file of HISTORIES)
    expect([file, await replay(file, bundle)]).toEqual([
      file,
      expect.any(DeterminismViolationError),
    ]);
});

test('a step that is left out, and one under another name, are caught where they were taken', async () => {
  const bundle = await bundleChanged(async (workflows) => {
    await edit(join(workflows, 'roll-and-score.ts'), 'rollout.score.', 'rollout.rollOut.');
    await edit(
      join(workflows, 'promotion.ts'),
      'proxies.control.promote.',
      'proxies.control.rollback.',
    );
  });
  for (const file of HISTORIES)
    expect([file, await replay(file, bundle)]).toEqual([
      file,
      expect.any(DeterminismViolationError),
    ]);
});
