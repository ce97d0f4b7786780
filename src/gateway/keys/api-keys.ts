import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import { z } from 'zod';
import { InvalidInputError, NotFoundError } from '../../errors';
import { Name } from '../../schemas/ids';

/**
 * agent: model calls, and feedback on its own sessions. runner: opens sessions. scorer: feedback on any session.
 * approver: decides on promotions. admin: everything but model calls, which always belong to an agent.
 */
export const Role = z.enum(['agent', 'runner', 'scorer', 'approver', 'admin']);
export type Role = z.infer<typeof Role>;

/** Roles whose keys may be limited to some agents; what the others do is not about agents. */
const SCOPED: readonly Role[] = ['agent', 'runner', 'scorer'];

/** What is kept of a key: never the key. Its secret is 256 random bits, so a plain hash cannot be searched. */
export const ApiKeyRecord = z
  .strictObject({
    id: z.string().regex(/^[a-z0-9]{12}$/),
    role: Role,
    /** Whose sessions the key may use; empty is everybody's, which no key of role agent may have. */
    agents: z.array(Name).max(100),
    /** What people call it. */
    label: z
      .string()
      .max(200)
      .regex(/^\P{Cc}*$/u, 'expected no control characters'),
    /** sha256 of the whole key, 64 hexadecimal digits. */
    hash: z.string().regex(/^[0-9a-f]{64}$/),
    createdAt: z.iso.datetime(),
    /** From when on it opens nothing; null: never. */
    expiresAt: z.iso.datetime().nullable(),
    revokedAt: z.iso.datetime().nullable(),
  })
  .refine(({ role, agents }) => role !== 'agent' || agents.length > 0, {
    message: 'a key of role agent names its agent, or several',
    path: ['agents'],
  })
  .refine(({ role, agents }) => SCOPED.includes(role) || agents.length === 0, {
    message: `only keys of role ${SCOPED.join(', ')} may be limited to agents`,
    path: ['agents'],
  });
export type ApiKeyRecord = z.infer<typeof ApiKeyRecord>;

/** Where the records live. */
export interface ApiKeyStore {
  read(): Promise<readonly ApiKeyRecord[]>;
  /** Replaces the records by what `change` makes of them, as a whole; concurrent updates follow each other, across processes. */
  update(change: (records: readonly ApiKeyRecord[]) => readonly ApiKeyRecord[]): Promise<void>;
}

export interface NewApiKey {
  readonly role: Role;
  /** The one agent whose sessions the key may use; `agents` for several. Role agent needs one. @default everybody's */
  readonly agent?: string | null;
  readonly agents?: readonly string[];
  readonly label?: string;
  /** Milliseconds since 1970. @default null: it never expires */
  readonly expiresAtMs?: number | null;
}

export const API_KEY_PREFIX = 'rk-';
const PATTERN = /^rk-([a-z0-9]{12})-[A-Za-z0-9_-]{43}$/;

/**
 * @returns the key `rk-<id>-<secret>`, which nobody can show again, and its record.
 * @throws {InvalidInputError} if role and agents do not fit.
 */
export async function createApiKey(
  store: ApiKeyStore,
  { role, agent = null, agents = agent === null ? [] : [agent], label = '', ...rest }: NewApiKey,
): Promise<{ readonly key: string; readonly record: ApiKeyRecord }> {
  const id = randomBytes(6).toString('hex');
  const key = `${API_KEY_PREFIX}${id}-${randomBytes(32).toString('base64url')}`;
  const { expiresAtMs = null } = rest;
  const record = ApiKeyRecord.safeParse({
    id,
    role,
    label,
    agents: [...new Set(agents)],
    hash: hashOf(key).toString('hex'),
    createdAt: new Date().toISOString(),
    expiresAt: expiresAtMs === null ? null : new Date(expiresAtMs).toISOString(),
    revokedAt: null,
  });
  if (!record.success) {
    throw new InvalidInputError(`an API key cannot be created: ${z.prettifyError(record.error)}`);
  }
  await store.update((records) => [...records, record.data]);
  return { key, record: record.data };
}

export function listApiKeys(store: ApiKeyStore): Promise<readonly ApiKeyRecord[]> {
  return store.read();
}

/**
 * Gateways notice within the time for which they keep records (see api-key-verifier.ts). Revoking a key again changes nothing.
 *
 * @throws {NotFoundError} if there is no such key.
 */
export async function revokeApiKey(store: ApiKeyStore, id: string): Promise<void> {
  await store.update((records) => {
    if (!records.some((record) => record.id === id)) {
      throw new NotFoundError('there is no API key of this id', { context: { id } });
    }
    const revokedAt = new Date().toISOString();
    return records.map((record) =>
      record.id === id && record.revokedAt === null ? { ...record, revokedAt } : record,
    );
  });
}

/** @returns null if the text is not of the form of an API key. */
export function apiKeyId(key: string): string | null {
  return PATTERN.exec(key)?.[1] ?? null;
}

export function isKeyOf(record: ApiKeyRecord, key: string): boolean {
  return timingSafeEqual(hashOf(key), Buffer.from(record.hash, 'hex'));
}

/** What has become of a key. */
export type KeyState = 'active' | 'expired' | 'revoked';

/** @param nowMs milliseconds since 1970. */
export function keyState(
  { revokedAt, expiresAt }: Pick<ApiKeyRecord, 'revokedAt' | 'expiresAt'>,
  nowMs: number,
): KeyState {
  if (revokedAt !== null) return 'revoked';
  return expiresAt !== null && Date.parse(expiresAt) <= nowMs ? 'expired' : 'active';
}

function hashOf(key: string): Buffer {
  return createHash('sha256').update(key).digest();
}
