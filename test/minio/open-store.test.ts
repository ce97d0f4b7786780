import { openStore } from '../../workers/open-store';
import { type Environment, readEnvironment } from '../../workers/env';
import { InvalidInputError, TransientError } from '../../src/errors';
import { minioEnvironment, newBucket, sharedMinio, startTestMinio } from '../helpers/minio-server';

const before = { ...process.env };
afterEach(() => {
  process.env = { ...before };
});

/** As a process started with these variables: the SDK reads its own from `process.env`. */
function environmentOf(bucket: string, more: Record<string, string> = {}): Environment {
  const variables = { ...minioEnvironment(sharedMinio(), bucket), ...more };
  Object.assign(process.env, variables);
  return readEnvironment(variables);
}

const open = (env: Environment) => openStore(env, { patienceMs: 0, log: () => undefined });

test('a bucket of a MinIO passes the probe, which leaves nothing', async () => {
  const { bucket } = await newBucket();
  const env = environmentOf(bucket);
  const store = await open({ ...env, store: readEnvironment({ ...minioEnvironment(sharedMinio(), bucket), RATCHET_STORE: `s3://${bucket}/team` }).store }); // prettier-ignore
  await store.put('v1/a', new TextEncoder().encode('a'));
  const keys: string[] = [];
  for await (const { key } of (await open(env)).list('')) keys.push(key);
  expect(keys).toEqual(['team/v1/a']);
});

test('a bucket that is not there is refused with the line that makes it', async () => {
  const opening = open(environmentOf('nowhere'));
  await expect(opening).rejects.toThrow(InvalidInputError);
  await expect(opening).rejects.toThrow(
    `make it: aws s3 mb s3://nowhere --endpoint-url ${sharedMinio().endpoint}`,
  );
});

test.each([
  [{ AWS_ACCESS_KEY_ID: 'nobody' }, /does not accept the credentials: check AWS_ACCESS_KEY_ID/],
  [{ AWS_SECRET_ACCESS_KEY: 'wrong' }, /does not accept the credentials/],
])('credentials that are wrong are refused: %j', async (wrong, reason) => {
  const { bucket } = await newBucket();
  const opening = open(environmentOf(bucket, wrong));
  await expect(opening).rejects.toThrow(InvalidInputError);
  await expect(opening).rejects.toThrow(reason);
});

test('a server that nobody answers for is a TransientError', async () => {
  const env = environmentOf('bucket', { RATCHET_S3_ENDPOINT: 'http://127.0.0.1:1' });
  await expect(open(env)).rejects.toThrow(TransientError);
});

test('a server that comes up later is waited for, and said so once', async () => {
  const minio = await startTestMinio();
  try {
    const { bucket } = await newBucket(minio);
    await minio.kill();
    const variables = minio.environment(bucket);
    Object.assign(process.env, variables);
    const lines: string[] = [];
    const opening = openStore(readEnvironment(variables), { log: (line) => lines.push(line) });
    while (lines.length === 0) await new Promise((resolve) => setTimeout(resolve, 20));
    await minio.start();
    await (await opening).put('v1/a', new Uint8Array(1));
    expect(lines).toHaveLength(1);
    expect(lines[0]).toMatch(/waiting for the object store: .* could not be reached/);
  } finally {
    await minio.stop();
  }
});
