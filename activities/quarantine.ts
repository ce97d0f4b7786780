import { activityInfo } from '@temporalio/activity';
import { IntegrityError, TransientError } from '../src/errors';
import type { ObjectStore } from '../src/storage/object-store';
import { quarantine } from '../src/storage/quarantine';

type Activity = (input: never) => Promise<unknown>;

/**
 * The same activities; a damaged object that one of them reads is put into quarantine before the failure goes on its way. A workflow then
 * waits for a person with the object's name, and whoever commits the same content again finds its place free.
 */
export function withQuarantine<T extends Record<keyof T, Activity>>(
  store: ObjectStore,
  activities: T,
): T {
  const guarded = Object.entries(activities as Record<string, Activity>).map(([name, run]) => [
    name,
    async (input: never): Promise<unknown> => {
      try {
        return await run(input);
      } catch (error) {
        throw await putAside(store, error);
      }
    },
  ]);
  return Object.fromEntries(guarded) as T;
}

/** The error to throw instead: it says what became of the object. */
async function putAside(store: ObjectStore, error: unknown): Promise<unknown> {
  const damage = damageOf(error);
  if (damage === null) return error;
  const { activityType } = activityInfo();
  let outcome: Awaited<ReturnType<typeof quarantine>>;
  try {
    outcome = await quarantine(store, {
      ...damage.damage,
      reason: damage.message,
      by: activityType,
    });
  } catch (failed) {
    // The damage is what the person must hear of; that it could not be put aside is told beside it, and `verify` will find it again.
    return new IntegrityError(`${damage.message}; it could not be put into quarantine`, {
      damage: damage.damage,
      cause: failed,
    });
  }
  const again = { damage: damage.damage }; // no cause: the innermost message is what the person is shown
  switch (outcome.kind) {
    case 'quarantined':
      return new IntegrityError(`${damage.message}; its bytes were moved to ${outcome.at}`, again);
    case 'kept':
      return new IntegrityError(
        `${damage.message}; it stays in its place, and a copy lies in ${outcome.at}: \`ratchet store verify\` says what to restore it from`,
        again,
      );
    case 'gone':
      return error;
    case 'intact':
      return new TransientError(
        'an object was damaged when it was read, and is whole now: it is read again',
        { context: { key: damage.damage.key } },
      );
  }
}

/** The damage that an error, or one of its causes, is about. */
function damageOf(
  error: unknown,
): { readonly damage: NonNullable<IntegrityError['damage']>; readonly message: string } | null {
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    if (cause instanceof IntegrityError && cause.damage !== undefined)
      return { damage: cause.damage, message: cause.message };
  }
  return null;
}
