import { createLog } from '../../../workers/log';
import { watchParkedRuns } from '../../../workers/parked-runs';
import type { Temporal } from '../../../workers/temporal-connection';
import { createRecordingMeter } from '../../fakes/recording-meter';

/** A server of which only counting is asked. */
function serverThat(count: (query: string) => number): Temporal {
  const workflowService = {
    countWorkflowExecutions: async ({ query }: { query: string }) => ({ count: count(query) }),
  };
  return { namespace: 'default', connection: { workflowService } } as unknown as Temporal;
}

const settle = (): Promise<void> => new Promise((done) => setImmediate(done));

describe('the count of runs that wait for a person', () => {
  it('is by phase, of this installation’s queue, and only of what still runs', async () => {
    const meter = createRecordingMeter();
    const queries: string[] = [];
    const server = serverThat((query) => {
      queries.push(query);
      return query.includes('"needs-attention"') ? 2 : 1;
    });
    const log = createLog({ format: 'text', level: 'info' }, {}, () => undefined);
    const stop = watchParkedRuns(server, 'desks', meter, log);
    await settle();
    stop();
    expect(Object.fromEntries(meter.gauges)).toEqual({ parkedRuns: 2, awaitingApproval: 1 });
    expect(queries[0]).toBe(
      'RatchetPhase="needs-attention" AND ExecutionStatus="Running" AND TaskQueue="desks"',
    );
  });

  it('that cannot be had is said once', async () => {
    jest.useFakeTimers({ doNotFake: ['setImmediate', 'performance'] });
    const lines: string[] = [];
    const server = serverThat(() => {
      throw new Error('no such search attribute');
    });
    const log = createLog({ format: 'text', level: 'info' }, {}, (line) => lines.push(line));
    const stop = watchParkedRuns(server, 'desks', createRecordingMeter(), log);
    await settle();
    jest.advanceTimersByTime(90_000);
    await settle();
    stop();
    jest.useRealTimers();
    expect(lines).toEqual([expect.stringContaining('no such search attribute')]);
  });
});
