import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { packageRoot } from '../../../src/adapters/dist-path';
import { compareVersions, minioSpec, temporalSpec } from '../../../workers/servers/server-spec';

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

describe('MinIO', () => {
  test.each([
    ['minio version RELEASE.2025-09-07T16-13-09Z (commit-id=07c3a429)', true],
    ['minio version RELEASE.2025-07-23T15-54-02Z (commit-id=7ced9663)', false],
    [`minio version DEVELOPMENT.${minioSpec.version} (commit-id=7aac2a2c5b7c)`, true],
  ])('that says %j will do: %s', (line, will) => {
    const version = minioSpec.versionPattern.exec(line)?.[1];
    expect(minioSpec.accepts(version ?? '')).toBe(will);
  });

  test('of the committed module is the version that the specification names', () => {
    const goMod = readFileSync(join(packageRoot(), minioSpec.go.moduleFolder, 'go.mod'), 'utf8');
    const at = minioSpec.version.replace(/\D/g, '');
    expect(goMod).toMatch(new RegExp(`github.com/minio/minio v0.0.0-${at}-7aac2a2c5b7c\\b`));
  });
});
