import { z } from 'zod';
import { IntegrityError, NotFoundError } from '../errors';
import { Digest } from '../schemas/ids';
import { readCheckpointFile } from '../storage/checkpoints';
import type { ObjectStore } from '../storage/object-store';

/** What a checkpoint was trained from. */
const Lineage = z.object({
  parent: Digest.nullable(),
  replay: z.string().regex(/^[0-9a-f]{64}$/),
});
export type Lineage = z.infer<typeof Lineage>;

/** `none` where there is no such checkpoint, or it does not say: other kinds of policies have other files. */
export async function readLineage(
  store: ObjectStore,
  digest: Digest,
): Promise<Lineage | 'none' | 'unknown'> {
  try {
    const bytes = await readCheckpointFile(store, digest, 'training_state.json');
    const parsed = Lineage.safeParse(JSON.parse(Buffer.from(bytes).toString('utf8')));
    return parsed.success ? parsed.data : 'none';
  } catch (error) {
    if (error instanceof NotFoundError || error instanceof SyntaxError) return 'none';
    if (error instanceof IntegrityError) return 'unknown';
    throw error;
  }
}
