import type { ApiKeyRecord, ApiKeyStore } from './api-keys';
import { apiKeyId, isKeyOf, keyState } from './api-keys';
import { unauthorized } from '../http/request-error';

/** How long records are kept: the longest that a revoked key goes on working. */
const KEEP_MS = 2_000;
/** An id that is not among the records may be new: they are read again, but not more often than this, whoever is guessing. */
const UNKNOWN_ID_KEEP_MS = 100;

/**
 * @returns a function that gives the record of a key.
 *   It throws a {RequestError} 401 if the key is malformed, unknown, wrong, revoked or expired, and what the store throws: nobody is let in then.
 */
export function createApiKeyVerifier(
  store: ApiKeyStore,
  now: () => number = Date.now,
  onUse: (id: string, nowMs: number) => void = () => undefined,
): (key: string) => Promise<ApiKeyRecord> {
  let records = new Map<string, ApiKeyRecord>();
  let readAt = -Infinity;
  let reading: Promise<void> | null = null;

  const read = async (): Promise<void> => {
    const at = now();
    try {
      records = new Map((await store.read()).map((record) => [record.id, record]));
      readAt = at;
    } finally {
      reading = null;
    }
  };
  const find = async (id: string): Promise<ApiKeyRecord | undefined> => {
    if (now() - readAt >= (records.has(id) ? KEEP_MS : UNKNOWN_ID_KEEP_MS)) {
      await (reading ??= read());
    }
    return records.get(id);
  };

  return async (key) => {
    const id = apiKeyId(key);
    if (id === null) throw unauthorized('the API key is malformed: expected rk-<id>-<secret>');
    const record = await find(id);
    // One answer for both: whether an id exists is nobody's business.
    if (record === undefined || !isKeyOf(record, key))
      throw unauthorized('the API key is not known');
    const nowMs = now();
    const state = keyState(record, nowMs);
    if (state === 'revoked') {
      throw unauthorized(`the API key was revoked at ${record.revokedAt}`, 'revoked_api_key');
    }
    if (state === 'expired') {
      throw unauthorized(`the API key expired at ${record.expiresAt}`, 'expired_api_key');
    }
    onUse(id, nowMs);
    return record;
  };
}
