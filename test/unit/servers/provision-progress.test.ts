import type { ProvisionEvent } from '../../../workers/servers/provision-progress';
import { renderProvisionProgress } from '../../../workers/servers/provision-progress';

const building = (elapsedMs: number, packages: number): ProvisionEvent => ({
  kind: 'building',
  title: 'Temporal CLI',
  elapsedMs,
  expectedMs: 240_000,
  packages,
  expectedPackages: 1717,
});
const found: ProvisionEvent = {
  kind: 'found',
  title: 'Temporal CLI',
  way: 'build',
  path: '/cache/temporal',
};

function record(isTTY: boolean) {
  const written: string[] = [];
  const clock = { ms: 0 };
  const write = (text: string): number => written.push(text);
  return { written, clock, render: renderProvisionProgress({ isTTY, write }, () => clock.ms) };
}

test('a terminal gets one line that is rewritten, and then the result', () => {
  const { written, render } = record(true);
  render(building(0, 0));
  render(building(61_000, 420));
  render(found);
  expect(written).toEqual([
    'building the Temporal CLI with Go, once: 0 of about 1717 packages, 0 s of about 4 min 00 s',
    '\r\x1b[Kbuilding the Temporal CLI with Go, once: 420 of about 1717 packages, 1 min 01 s of about 4 min 00 s',
    '\r\x1b[KTemporal CLI: /cache/temporal (Go build)\n',
  ]);
});

test('a log gets a line every 15 seconds, but each failed way and each note', () => {
  const { written, clock, render } = record(false);
  for (clock.ms = 0; clock.ms <= 31_000; clock.ms += 1000) render(building(clock.ms, 0));
  expect(written).toHaveLength(3);
  render({ kind: 'way-failed', way: 'download', reason: 'ENOTFOUND' });
  render({ kind: 'note', message: 'one' });
  render({ kind: 'note', message: 'two' });
  expect(written.slice(3)).toEqual(['no download: ENOTFOUND\n', 'one\n', 'two\n']);
});
