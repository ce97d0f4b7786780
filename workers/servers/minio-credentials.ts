import { randomBytes } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { z } from 'zod';
import { IntegrityError } from '../../src/errors';
import { isErrno } from './errno';

const credentialsSchema = z.object({
  accessKeyId: z.string().min(3), // MinIO's own minimums
  secretAccessKey: z.string().min(8),
});
export type MinioCredentials = z.infer<typeof credentialsSchema>;

/** The root credentials of a state folder's MinIO: random, made once, readable by their owner only. */
export async function ensureMinioCredentials(path: string): Promise<MinioCredentials> {
  const fresh: MinioCredentials = {
    accessKeyId: `ratchet-${randomBytes(6).toString('hex')}`,
    secretAccessKey: randomBytes(24).toString('base64url'),
  };
  try {
    await writeFile(path, `${JSON.stringify(fresh, null, 2)}\n`, { flag: 'wx', mode: 0o600 });
    return fresh;
  } catch (error) {
    if (!isErrno(error, 'EEXIST')) throw error;
    return readMinioCredentials(path);
  }
}

export async function readMinioCredentials(path: string): Promise<MinioCredentials> {
  const text = await readFile(path, 'utf8');
  try {
    return credentialsSchema.parse(JSON.parse(text));
  } catch (cause) {
    throw new IntegrityError(
      'the file of MinIO’s credentials is damaged: move it away while the server is down, and the next start makes new ones',
      { context: { path }, cause },
    );
  }
}
