import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createS3ObjectStore } from '../../src/adapters/s3-store';
import { isPortFree } from '../../workers/servers/ports';
import { type Minio, type MinioOptions, startMinio } from '../../workers/servers/minio';
import { provision } from '../../workers/servers/provision';
import { minioSpec } from '../../workers/servers/server-spec';
import { serversDown, serversEnvironment, serversStatus } from '../../workers/servers/servers';
import { newBucket, startTestMinio } from '../helpers/minio-server';

let folder: string;
let binary: string;

beforeAll(async () => {
  binary = (await provision(minioSpec)).path;
});
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ratchet minio ')); // a path with spaces
});
afterEach(async () => {
  await serversDown({ stateDir: folder });
  await rm(folder, { recursive: true, force: true });
});

const start = (options: Partial<MinioOptions> = {}): Promise<Minio> =>
  startMinio({ stateDir: folder, binary, lifetime: 'until-down', ...options });

test('what was put is there after kill -9 and a start on the same data and port', async () => {
  const minio = await startTestMinio();
  try {
    const store = createS3ObjectStore(await newBucket(minio));
    const body = new TextEncoder().encode('kept');
    const outcome = await store.put('v1/a', body);
    await minio.kill();
    await minio.start();
    const { bytes, etag } = await store.get('v1/a');
    expect(bytes).toEqual(body);
    expect(outcome).toEqual({ committed: true, etag });
  } finally {
    await minio.stop();
  }
});

test('it is found again, keeps its port, is shown without its secret, and stops', async () => {
  expect(await serversStatus({ stateDir: folder })).not.toHaveProperty('minio');
  const first = await start();
  const second = await start();
  expect(second).toMatchObject({ started: false, pid: first.pid, endpoint: first.endpoint });

  const { minio } = await serversStatus({ stateDir: folder });
  expect(minio).toMatchObject({
    state: 'running',
    pid: first.pid,
    environment: { RATCHET_STORE: 's3://ratchet', RATCHET_S3_ENDPOINT: first.endpoint },
  });
  const { secretAccessKey } = first.credentials;
  expect(JSON.stringify(minio)).not.toContain(secretAccessKey);
  const mode = (await stat(join(folder, 'minio-credentials.json'))).mode & 0o777;
  expect(mode.toString(8)).toBe('600');
  expect(await serversEnvironment({ stateDir: folder })).toMatchObject({
    AWS_ACCESS_KEY_ID: first.credentials.accessKeyId,
    AWS_SECRET_ACCESS_KEY: secretAccessKey,
  });

  expect(await serversDown({ stateDir: folder })).toMatchObject({ minio: { state: 'stopped' } });
  await expect(serversEnvironment({ stateDir: folder })).rejects.toThrow(/servers up --with minio/);
  const third = await start();
  expect(third).toMatchObject({ started: true, endpoint: first.endpoint });
  expect(third.credentials).toEqual(first.credentials);
});

test('two that start at the same moment end up with one server', async () => {
  const [one, other] = await Promise.all([start(), start()]);
  expect(one.pid).toBe(other.pid);
  expect([one.started, other.started].sort()).toEqual([false, true]);
});

test('one that was started for a process ends with its stop, and not with another’s', async () => {
  const own = await start({ lifetime: 'with-parent' });
  const found = await start();
  await own.stop(); // `servers up` was run since
  expect((await serversStatus({ stateDir: folder })).minio?.state).toBe('running');
  expect(found.started).toBe(false);
});

test('a port that was asked for and is taken is said so', async () => {
  const first = await start();
  const port = Number(new URL(first.endpoint).port);
  expect(await isPortFree(port)).toBe(false);
  const other = await mkdtemp(join(tmpdir(), 'ratchet-minio-other-'));
  try {
    await expect(start({ stateDir: other, port })).rejects.toThrow(/no port is free/);
  } finally {
    await rm(other, { recursive: true });
  }
});

test('data that MinIO cannot use is named together with the end of its log', async () => {
  await expect(start({ env: { MINIO_ROOT_PASSWORD: 'short' } })).rejects.toThrow(
    /MinIO server ended at once; the end of .*minio\.log:/,
  );
});
