import type { Metric } from '../../../src/gateway/metrics/prometheus-text';
import { createFleet, type Channel } from '../../../workers/gateway-fleet';
import { createFleetReports, type FleetReports } from '../../../workers/gateway-reports';

const calls = (value: number): Metric => ({
  ...{ name: 'calls', type: 'counter', help: 'Calls.', samples: [{ value }] },
});
const waiting = (value: number): Metric => ({
  ...{ name: 'waiting', type: 'gauge', help: 'Waiting.', samples: [{ value }] },
});

/** A process that has these metrics whenever it is asked. */
function addProcess(reports: FleetReports, id: number, metrics: () => Metric[]): void {
  reports.add(id, (message) => {
    setImmediate(() => reports.reported(id, message.id, metrics()));
  });
}

async function valueOf(reports: FleetReports, name: string): Promise<number | undefined> {
  const metrics = await reports.gather(0, 2);
  return metrics.find((metric) => metric.name === name)?.samples[0]?.value;
}

test('what all processes count is added up', async () => {
  const reports = createFleetReports();
  addProcess(reports, 1, () => [calls(3)]);
  addProcess(reports, 2, () => [calls(4)]);
  expect(await valueOf(reports, 'calls')).toBe(7);
  expect(await valueOf(reports, 'ratchet_gateway_processes')).toBe(2);
});

test('counters do not fall when a process ends, and its gauges go with it', async () => {
  const reports = createFleetReports();
  addProcess(reports, 1, () => [calls(3), waiting(5)]);
  addProcess(reports, 2, () => [calls(4), waiting(1)]);
  await reports.gather(0, 2);
  reports.remove(1);
  addProcess(reports, 3, () => [calls(1), waiting(0)]);
  expect(await valueOf(reports, 'calls')).toBe(8);
  expect(await valueOf(reports, 'waiting')).toBe(1);
});

test('a process that is silent is counted as it was last', async () => {
  const reports = createFleetReports(20);
  let isSilent = false;
  reports.add(1, ({ id }) => {
    if (!isSilent) reports.reported(1, id, [calls(3)]);
  });
  expect(await valueOf(reports, 'calls')).toBe(3);
  isSilent = true;
  expect(await valueOf(reports, 'calls')).toBe(3);
});

test('one that ends while it is asked is not waited for', async () => {
  const reports = createFleetReports(60_000);
  reports.add(1, () => undefined);
  addProcess(reports, 2, () => [calls(4)]);
  const gathered = valueOf(reports, 'calls');
  reports.remove(1);
  expect(await gathered).toBe(4);
});

test('a process answers for all by asking the one that started it, and reports itself when that asks', async () => {
  const sent: Parameters<Channel['send']>[0][] = [];
  let tell: (message: unknown) => void = () => undefined;
  const gather = createFleet({
    send: (message) => sent.push(message),
    onMessage: (listener) => (tell = listener),
  }).join(() => [calls(3)]);
  const [first, second] = [gather(), gather()];
  tell({ type: 'report', id: 9 });
  expect(sent).toEqual([
    { type: 'gather', id: 1 },
    { type: 'gather', id: 2 },
    { type: 'reported', id: 9, metrics: [calls(3)] },
  ]);
  const processes = { running: 2, expected: 2, isStarting: false };
  tell({ type: 'gathered', id: 2, metrics: [calls(8)], processes });
  tell({ type: 'gathered', id: 1, metrics: [calls(7)], processes });
  expect((await first).metrics).toEqual([calls(7)]);
  expect((await second).metrics).toEqual([calls(8)]);
});
