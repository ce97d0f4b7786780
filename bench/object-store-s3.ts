import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createS3ObjectStore } from '../src/adapters/s3-store';
import { startMinio } from '../workers/servers/minio';
import { provision } from '../workers/servers/provision';
import { renderProvisionProgress } from '../workers/servers/provision-progress';
import { minioSpec } from '../workers/servers/server-spec';
import { measure } from './object-store';

/** The S3 store on a MinIO of its own, on the same machine and in the folder for temporary files. */
export async function run(): Promise<Record<string, number>> {
  const { path } = await provision(minioSpec, { progress: renderProvisionProgress() });
  const stateDir = await mkdtemp(join(tmpdir(), 'ratchet-bench-'));
  const minio = await startMinio({ stateDir, binary: path, lifetime: 'with-parent' });
  try {
    const { bucket, endpoint, credentials } = minio;
    return await measure(createS3ObjectStore({ bucket, endpoint, credentials }));
  } finally {
    await minio.stop();
    await rm(stateDir, { recursive: true });
  }
}
