import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { packageRoot } from '../../../src/adapters/dist-path';
import { compareVersions, temporalSpec } from '../../../workers/servers/server-spec';

test('versions compare by number, not by letter', () => {
  expect(compareVersions('1.10.0', '1.8.2')).toBeGreaterThan(0);
  expect(compareVersions('1.8', '1.8.0')).toBe(0);
  expect(compareVersions('1.8.1', '1.8.2')).toBeLessThan(0);
  expect(compareVersions('1.26.4-rc.1', '1.26.4')).toBe(0);
});

test.each([
  ['1.8.2', true],
  ['1.9.0', true],
  ['1.8.1', false],
  ['2.0.0', false],
  ['0.0.0-DEV', false],
])('on PATH, version %s will do: %s', (version, will) => {
  expect(temporalSpec.accepts(version)).toBe(will);
});

test('the committed module builds the version that the specification names', () => {
  const { moduleFolder } = temporalSpec.go;
  const goMod = readFileSync(join(packageRoot(), moduleFolder, 'go.mod'), 'utf8');
  expect(goMod).toMatch(new RegExp(`github.com/temporalio/cli v${temporalSpec.version}\\b`));
});

test('a system for which nothing is published has no download', () => {
  expect(temporalSpec.downloads({ platform: 'freebsd', arch: 'x64' })).toEqual([]);
  expect(temporalSpec.downloads({ platform: 'win32', arch: 'arm64' })[1]).toMatch(
    /temporal_cli_1\.8\.2_windows_arm64\.zip$/,
  );
});
