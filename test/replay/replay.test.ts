import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { historyFromJSON } from '@temporalio/common/lib/proto-utils';
import { Worker } from '@temporalio/worker';
import { quietRuntime, workflowBundle } from '../helpers/workflow-bench';

/** One history per file, as `temporal workflow show --output json` prints it; how to record one is in README.md here. */
const FOLDER = join(__dirname, 'histories');
const files = readdirSync(FOLDER).filter((file) => file.endsWith('.json'));

beforeAll(quietRuntime);

test('there is a history of every workflow', () => {
  const recorded = new Set(files.map((file) => file.split('.')[0]));
  expect(recorded).toEqual(new Set(['evaluation', 'promotion', 'training-run']));
});

test.each(files)(
  '%s replays: the code still takes the decisions that this history holds',
  async (file) => {
    const history = historyFromJSON(JSON.parse(readFileSync(join(FOLDER, file), 'utf8')));
    // The id is part of what is replayed: children and promotions are named after it.
    const { workflowId } = history.events?.[0]?.workflowExecutionStartedEventAttributes ?? {};
    await Worker.runReplayHistory(
      { workflowBundle: await workflowBundle() },
      history,
      workflowId ?? undefined,
    );
  },
);

test('a history that the code would not have produced is refused', async () => {
  const file = files.find((name) => name.startsWith('evaluation')) ?? '';
  const text = readFileSync(join(FOLDER, file), 'utf8').replaceAll(
    '"openEvaluation"',
    '"openSesame"',
  );
  const history = historyFromJSON(JSON.parse(text));
  await expect(
    Worker.runReplayHistory({ workflowBundle: await workflowBundle() }, history, file),
  ).rejects.toThrow(/[Nn]ondeterminis/);
});
