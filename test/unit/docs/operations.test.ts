import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import { createCounters } from '../../../src/gateway/metrics/counters';
import { createCallMetrics } from '../../../src/gateway/metrics/call-metrics';
import { gatewayMetrics, type SpoolStatus } from '../../../src/gateway/metrics/gateway-metrics';
import { fleetMetrics } from '../../../src/gateway/metrics/fleet-metrics';
import { upstreamMetrics } from '../../../src/gateway/metrics/upstream-metrics';
import type { Metric } from '../../../src/gateway/metrics/prometheus-text';
import type { Answered } from '../../../src/gateway/call-observer';
import { createFakeUpstreams } from '../../fakes/fake-upstreams';
import { METRICS } from '../../../src/ports/meter';
import { environmentTable } from '../../../workers/env';

const page = readFileSync(join(__dirname, '../../../docs/operations.md'), 'utf8');

/** Without what a formatter adds: the rows of a table as their cells. */
const cells = (table: string): string[][] =>
  table
    .trim()
    .split('\n')
    .map((row) =>
      row
        .split('|')
        .slice(1, -1)
        .map((cell) => cell.trim().replace(/^-+$/, '---')),
    );

function between(name: string): string {
  return page.split(`<!-- ${name} -->`)[1]?.split(`<!-- /${name} -->`)[0] ?? '';
}

function metricsTable(): string {
  const rows = Object.values(METRICS).map(({ name, type, labels, description }) => {
    const shown = labels.map((label) => `\`${label}\``).join(' ');
    return `| \`${name}\` | ${type} | ${shown} | ${description} |`;
  });
  return ['| metric | type | labels | what it counts |', '| --- | --- | --- | --- |', ...rows].join(
    '\n',
  );
}

/** The gateway's metrics, each with a sample; what is in its spool does not matter. */
function ofGateway(): Metric[] {
  const empty = new Proxy(
    { groupSizes: [], oldestAt: null },
    {
      get: (known, name) => (name in known ? known[name as keyof typeof known] : 0),
    },
  );
  const status = { spool: empty, drain: empty } as unknown as SpoolStatus;
  const counters = createCounters();
  counters.byStatus[200] = 1;
  const calls = createCallMetrics();
  const call = calls.begin();
  call.called('desk', 'm', 's');
  call.streams();
  call.decided({ usage: null, costMicros: 1 } as Answered, true);
  call.ended(200);
  const upstreams = createFakeUpstreams({
    upstreams: { up: { url: 'http://up.test/v1' } },
    models: { m: [{ upstream: 'up' }] },
  });
  upstreams.health.failed('up', { kind: 'said' }, false);
  return [
    ...gatewayMetrics(counters, status, 0, new Map([['desk', new Map([['email', 1]])]])),
    ...calls.metrics(),
    ...upstreamMetrics(upstreams),
    ...fleetMetrics({ running: 0, expected: 0 }, 0),
  ];
}

function gatewayTable(): string {
  const rows = ofGateway().map(({ name, type, help, samples }) => {
    const labels = Object.keys(samples[0]?.labels ?? {}).filter((label) => label !== 'le');
    return `| \`${name}\` | ${type} | ${labels.map((label) => `\`${label}\``).join(' ')} | ${help} |`;
  });
  return ['| metric | type | labels | what it counts |', '| --- | --- | --- | --- |', ...rows].join(
    '\n',
  );
}

describe('docs/operations.md', () => {
  it('shows the environment variables that there are (`ratchet env` prints them)', () => {
    expect(cells(between('environment'))).toEqual(cells(environmentTable()));
  });

  it('shows the metrics that there are', () => {
    expect(cells(between('metrics'))).toEqual(cells(metricsTable()));
    expect(cells(between('gateway metrics'))).toEqual(cells(gatewayTable()));
  });

  it('names no metric and no variable that there is not', () => {
    const metrics = [
      ...Object.values(METRICS).map(({ name }) => name as string),
      ...ofGateway().map(({ name }) => name),
    ];
    const named = page.match(/\bratchet_[a-z_]+/g) ?? [];
    expect(named.filter((name) => !metrics.includes(name))).toEqual([]);
    const variables = environmentTable();
    const mentioned = page.match(/\bRATCHET_[A-Z0-9_]+/g) ?? [];
    expect(mentioned.filter((name) => !variables.includes(`\`${name}\``))).toEqual([]);
  });

  it('has a heading for every link into itself', () => {
    const headings = [...page.matchAll(/^#+ (.*)$/gm)].map(([, text = '']) => text.toLowerCase());
    const links = [...page.matchAll(/\]\(#([^)]*)\)/g)].map(([, anchor = '']) => anchor);
    expect(links.length).toBeGreaterThan(5);
    expect(links.filter((anchor) => !headings.includes(anchor))).toEqual([]);
  });

  it('has alerts that are YAML, each with a name and an expression', () => {
    const text = /```yaml\n(.*?)```/s.exec(page)?.[1] ?? '';
    const { groups } = parse(text) as { groups: { rules: { alert: string; expr: string }[] }[] };
    const rules = groups.flatMap((group) => group.rules);
    expect(rules.length).toBeGreaterThan(5);
    for (const { alert, expr } of rules) {
      expect(alert).toMatch(/^[A-Z][A-Za-z]+$/);
      expect([alert, expr]).toEqual([alert, expect.stringMatching(/\b(ratchet|temporal)_[a-z_]+/)]);
    }
  });
});
