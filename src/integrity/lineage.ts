import { z } from 'zod';
import { IntegrityError, NotFoundError } from '../errors';
import { Digest } from '../schemas/ids';
import { readCheckpointFile, readCheckpointManifest } from '../storage/checkpoints';
import type { ObjectStore } from '../storage/object-store';

/** What a checkpoint was made from. */
export interface Lineage {
  readonly parent: Digest | null;
  /** The checkpoint that it is an adapter over. */
  readonly base: Digest | null;
  /** sha256 of its replay buffer. */
  readonly replay: string | null;
}

const STATE_FILE = 'training_state.json';
/** What a training leaves beside its parameters. */
const TrainingState = z.object({
  parent: Digest.nullable(),
  replay: z
    .string()
    .regex(/^[0-9a-f]{64}$/)
    .optional(),
});
const Metadata = z.object({ base: Digest.optional() });

/** `none` where there is no such checkpoint, or it does not say. */
export async function readLineage(
  store: ObjectStore,
  digest: Digest,
): Promise<Lineage | 'none' | 'unknown'> {
  try {
    const { metadata, files } = await readCheckpointManifest(store, digest);
    const base = Metadata.safeParse(metadata).data?.base ?? null;
    const state = Object.hasOwn(files, STATE_FILE) ? await readState(store, digest) : null;
    if (base === null && state === null) return 'none';
    return { base, parent: state?.parent ?? null, replay: state?.replay ?? null };
  } catch (error) {
    if (error instanceof NotFoundError) return 'none';
    if (error instanceof IntegrityError) return 'unknown';
    throw error;
  }
}

/** null where it is of a kind that nobody here knows. */
async function readState(
  store: ObjectStore,
  digest: Digest,
): Promise<z.infer<typeof TrainingState> | null> {
  const bytes = await readCheckpointFile(store, digest, STATE_FILE);
  try {
    return TrainingState.safeParse(JSON.parse(Buffer.from(bytes).toString('utf8'))).data ?? null;
  } catch (error) {
    if (error instanceof SyntaxError) return null;
    throw error;
  }
}
