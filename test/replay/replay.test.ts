import { Worker } from '@temporalio/worker';
import { quietRuntime, workflowBundle } from '../helpers/workflow-bench';
import { HISTORIES, readHistory } from './histories';

beforeAll(quietRuntime);

test('there is a history of every workflow', () => {
  const recorded = new Set(HISTORIES.map((file) => file.split('.')[0]));
  expect(recorded).toEqual(new Set(['evaluation', 'promotion', 'training-run']));
});

test.each(HISTORIES)(
  '%s replays: the code still takes the decisions that this history holds',
  async (file) => {
    const { history, workflowId } = await readHistory(file);
    await Worker.runReplayHistory({ workflowBundle: await workflowBundle() }, history, workflowId);
  },
);

test('a history that the code would not have produced is refused', async () => {
  const file = HISTORIES.find((name) => name.startsWith('evaluation')) ?? '';
  const { history } = await readHistory(file, (text) =>
    text.replaceAll('"openEvaluation"', '"openSesame"'),
  );
  await expect(
    Worker.runReplayHistory({ workflowBundle: await workflowBundle() }, history, file),
  ).rejects.toThrow(/[Nn]ondeterminis/);
});
