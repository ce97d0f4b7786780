import { runKey } from '../../../src/loop/run-key';
import { taskQueues } from '../../../src/loop/task-queues';
import { runSegmentKey } from '../../../src/storage/keys';

const runId = '0193f2b4-7d5c-7a11-8c4e-2f1d3b5a6c7d';

describe('the key of a run', () => {
  it('is its workflow id and its first run id', () => {
    expect(runKey('support-desk-1', runId)).toBe(`support-desk-1.${runId}`);
  });

  it.each([
    ['a b/c:d', 'a_b_c_d'],
    ['../../etc/passwd', 'etc_passwd'],
    ['.hidden', 'hidden'],
    ['Größe', 'Gr__e'],
    ['💥', 'run'],
    ['', 'run'],
    ["x'; rm -rf /", 'x___rm_-rf__'],
  ])('replaces what keys do not take: %j', (workflowId, name) => {
    expect(runKey(workflowId, runId)).toBe(`${name}.${runId}`);
  });

  it.each(['a', 'ä'.repeat(500), '/'.repeat(3), 'x'.repeat(1000), '日本語'])(
    'fits the stages and the store: %.20j',
    (workflowId) => {
      const key = runKey(workflowId, runId);
      expect(key).toMatch(/^[A-Za-z0-9][A-Za-z0-9._-]{0,199}$/);
      for (const run of [key, `${key}.select`])
        expect(() => runSegmentKey(run, 0, 'rewards', 'a')).not.toThrow();
    },
  );

  it('tells two runs of one workflow id apart', () => {
    expect(runKey('a', '1')).not.toBe(runKey('a', '2'));
  });
});

describe('task queues', () => {
  it('are named after the workflows’ own', () => {
    expect(taskQueues('ratchet')).toEqual({
      control: 'ratchet',
      rollout: 'ratchet-rollout',
      gpu: 'ratchet-gpu',
    });
  });
});
