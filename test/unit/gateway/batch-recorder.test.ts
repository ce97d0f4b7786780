import { TransientError } from '../../../src/errors';
import { createBatchRecorder } from '../../../src/gateway/recording/batch-recorder';
import { recordedCall } from './recorded-call';

describe('a batch’s recorder', () => {
  test('numbers decisions in the order in which they were answered, each id once', async () => {
    const recorder = createBatchRecorder();
    recorder.open('s');
    for (const id of ['b', 'a', 'b', 'c']) await recorder.record(recordedCall({ id }));
    const { decisions } = recorder.take('s');
    expect(decisions.map(({ id, sequence }) => [id, sequence])).toEqual([
      ['b', 1],
      ['a', 2],
      ['c', 3],
    ]);
  });

  test('keeps sessions apart, and each message once', async () => {
    const recorder = createBatchRecorder();
    recorder.open('s');
    recorder.open('t');
    await recorder.record(recordedCall({ id: 'a' }));
    await recorder.record(recordedCall({ id: 'b' }, { session: 't' }));
    recorder.recordFailure({ session: 't', agent: 'desk', status: 503, detail: 'x' });
    expect(recorder.take('s')).toMatchObject({ decisions: [{ id: 'a' }], failures: [] });
    const { decisions, messages, toolsets, failures } = recorder.take('t');
    expect(decisions.map(({ id }) => id)).toEqual(['b']);
    expect([...messages.keys()]).toEqual(['question', 'answer']);
    expect([...toolsets.keys()]).toEqual(['toolset']);
    expect(failures).toHaveLength(1);
  });

  test('refuses calls of sessions that are not open: before, and after they were taken', async () => {
    const recorder = createBatchRecorder();
    await expect(recorder.record(recordedCall({}))).rejects.toThrow(TransientError);
    recorder.open('s');
    await recorder.record(recordedCall({}));
    recorder.take('s');
    await expect(recorder.record(recordedCall({}))).rejects.toThrow(/session=s/);
    recorder.recordFailure({ session: 's', agent: 'desk', status: 500, detail: 'late' });
    expect(recorder.take('s')).toMatchObject({ decisions: [], failures: [] });
  });

  test('a call that has no answer when the session is taken counts as pending', () => {
    const recorder = createBatchRecorder();
    recorder.open('s');
    const answered = recorder.begin('s');
    recorder.begin('s');
    recorder.begin('a session that is not open');
    answered(true);
    expect(recorder.take('s').pendingCalls).toBe(1);
  });

  test('a failure is late until a call is answered, be it with a decision, an old one or none', () => {
    const recorder = createBatchRecorder();
    const fail = (session: string): void => {
      const answered = recorder.begin(session);
      recorder.recordFailure({ session, agent: 'desk', status: 503, detail: 'busy' });
      answered(false);
    };
    for (const session of ['s', 't']) {
      recorder.open(session);
      fail(session);
      recorder.begin(session)(true);
    }
    for (let i = 0; i < 2; i += 1) fail('t');
    expect(recorder.take('s')).toMatchObject({ failures: [{}], lateFailures: 0 });
    expect(recorder.take('t')).toMatchObject({ failures: [{}, {}, {}], lateFailures: 2 });
  });
});
