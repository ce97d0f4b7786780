import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { createLocalObjectStore } from '../../../src/adapters/local-store';
import { createS3ObjectStore } from '../../../src/adapters/s3-store';
import { newBucket, startTestMinio } from '../minio-server';
import type { StormStore } from './installation';

const RESTART_AFTER_MS = 300;

export async function stormOnLocalFiles(home: string): Promise<StormStore> {
  const root = join(home, 'store');
  return {
    name: 'local files',
    env: { RATCHET_STORE: `file:${root}` },
    store: createLocalObjectStore({ root }),
    server: null,
    close: async () => undefined,
  };
}

/** On a MinIO of its own, which is a victim like every other process. */
export async function stormOnMinio(): Promise<StormStore> {
  const minio = await startTestMinio();
  const bucket = await newBucket(minio);
  return {
    name: 'MinIO',
    env: minio.environment(bucket.bucket),
    store: createS3ObjectStore(bucket),
    server: {
      name: 'minio',
      async kill(downMs = RESTART_AFTER_MS) {
        await minio.kill();
        await delay(downMs);
        await minio.start();
      },
    },
    close: () => minio.stop(),
  };
}
