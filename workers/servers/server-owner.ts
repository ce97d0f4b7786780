import { readFile, rename, writeFile } from 'node:fs/promises';
import { z } from 'zod';
import { processIdentity } from './process-table';

/** What the process table cannot tell about a server: until when it is to live. */
export const ownerSchema = z.object({
  lifetime: z.enum(['until-down', 'with-parent']),
  parent: z.object({ pid: z.number().int(), identity: z.string() }).nullable(),
});
export type Owner = z.infer<typeof ownerSchema>;

/** `until-down`: outlives this process. `with-parent`: ends with this process, or with the next start if this process dies. */
export async function ownerFor(lifetime: Owner['lifetime']): Promise<Owner> {
  if (lifetime === 'until-down') return { lifetime, parent: null };
  const identity = (await processIdentity(process.pid)) ?? '';
  return { lifetime, parent: { pid: process.pid, identity } };
}

export async function isOwnedByUs(owner: Owner | undefined): Promise<boolean> {
  const { parent: us } = await ownerFor('with-parent');
  return owner?.parent?.pid === us?.pid && owner?.parent?.identity === us?.identity;
}

/** Whether it was to end with a process that has ended. */
export async function isOrphaned({ lifetime, parent }: Owner): Promise<boolean> {
  if (lifetime !== 'with-parent') return false;
  return parent === null || (await processIdentity(parent.pid)) !== parent.identity;
}

/** A note beside a server's data; undefined if there is none, or if it is damaged and so tells nothing. */
export async function readNote<T>(path: string, schema: z.ZodType<T>): Promise<T | undefined> {
  try {
    return schema.parse(JSON.parse(await readFile(path, 'utf8')));
  } catch {
    return undefined; // a server's start then goes on as on data of unknown origin
  }
}

/** A reader sees the old note or the new one. */
export async function writeNote(path: string, note: unknown, mode = 0o644): Promise<void> {
  await writeFile(`${path}.new`, `${JSON.stringify(note, null, 2)}\n`, { mode });
  await rename(`${path}.new`, path);
}
