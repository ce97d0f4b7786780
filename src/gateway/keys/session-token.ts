import { createHmac, timingSafeEqual } from 'node:crypto';
import { z } from 'zod';
import { InvalidInputError } from '../../errors';
import { Sampling } from '../../schemas/decision';
import { Digest, Name } from '../../schemas/ids';
import { unauthorized } from '../http/request-error';
import { LIVE_PREFIX } from './session-id';

const Uint32 = z.int().min(0).max(0xffff_ffff);

/** What a rollout's API key says. Whoever holds it may make model calls in this one session, and nothing else. */
export const SessionClaims = z
  .strictObject({
    session: z
      .string()
      .min(1)
      .max(512)
      .refine((id) => !id.startsWith(LIVE_PREFIX), `${LIVE_PREFIX} is for live traffic`),
    agent: Name,
    /** The policy that `checkpoint` pins; null pins nothing. */
    policy: Name.nullable(),
    /** Answers calls of `policy` with exactly this checkpoint, whatever the champion is. */
    checkpoint: Digest.nullable(),
    /** Wins over what the request asks for. */
    sampling: Sampling.nullable(),
    /** The counters that decide what is sampled (see draw.ts); null samples at random. */
    draw: z
      .strictObject({
        seed: z.int().min(0),
        iteration: Uint32,
        /** The task's id. */
        task: z.string().min(1).max(512),
        member: Uint32,
      })
      .nullable(),
    /** Seconds since 1970. */
    expiresAt: z.int().positive(),
  })
  .refine((claims) => claims.checkpoint === null || claims.policy !== null, {
    message: 'a checkpoint is pinned for a policy: name it',
    path: ['policy'],
  });
export type SessionClaims = z.infer<typeof SessionClaims>;

export const SESSION_TOKEN_PREFIX = 'rks-';
export const SIGNING_KEY_BYTES = 32;

/**
 * `rks-<claims>.<signature>`: base64url of the claims' JSON, and of HMAC-SHA256 over it. The key also signs response ids; the first
 * line of what is signed keeps the two apart.
 *
 * @param signingKey 32 bytes, shared by every gateway that shall accept the token.
 */
export function mintSessionToken(signingKey: Uint8Array, claims: SessionClaims): string {
  const parsed = SessionClaims.safeParse(claims);
  if (!parsed.success) {
    throw new InvalidInputError(
      `a session's claims are not valid: ${z.prettifyError(parsed.error)}`,
    );
  }
  const payload = Buffer.from(JSON.stringify(parsed.data)).toString('base64url');
  return `${SESSION_TOKEN_PREFIX}${payload}.${sign(signingKey, payload).toString('base64url')}`;
}

/**
 * @param nowMs milliseconds since 1970.
 * @throws {RequestError} 401 that says whether the token is malformed, forged or expired.
 */
export function verifySessionToken(
  signingKey: Uint8Array,
  token: string,
  nowMs: number,
): SessionClaims {
  const [payload, signature, ...rest] = token.slice(SESSION_TOKEN_PREFIX.length).split('.');
  if (
    !token.startsWith(SESSION_TOKEN_PREFIX) ||
    payload === undefined ||
    signature === undefined ||
    rest.length > 0
  ) {
    throw unauthorized('the session key is malformed: expected rks-<claims>.<signature>');
  }
  // As text: base64url has several spellings of some bytes, and a token has one.
  const expected = Buffer.from(sign(signingKey, payload).toString('base64url'));
  const given = Buffer.from(signature);
  if (given.length !== expected.length || !timingSafeEqual(given, expected)) {
    throw unauthorized(
      'the signature of the session key does not match: it was changed, or issued under another signing key',
    );
  }
  const claims = readClaims(payload);
  if (isExpired(claims, nowMs)) {
    const at = new Date(claims.expiresAt * 1_000).toISOString();
    throw unauthorized(
      `the session key expired at ${at}: ask for a new session`,
      'session_expired',
    );
  }
  return claims;
}

export function isExpired({ expiresAt }: SessionClaims, nowMs: number): boolean {
  return expiresAt * 1_000 <= nowMs;
}

/** Only what we signed gets here, so a failure means a token of another version of the gateway. */
function readClaims(payload: string): SessionClaims {
  let json: unknown;
  try {
    json = JSON.parse(Buffer.from(payload, 'base64url').toString('utf8'));
  } catch {
    // Signed, but no JSON: the same answer as for claims that do not fit.
    json = undefined;
  }
  const claims = SessionClaims.safeParse(json);
  if (!claims.success) {
    throw unauthorized('the session key was issued by another version: ask for a new session');
  }
  return claims.data;
}

function sign(signingKey: Uint8Array, payload: string): Buffer {
  if (signingKey.length !== SIGNING_KEY_BYTES) {
    throw new InvalidInputError(
      `a signing key has the wrong length: expected ${SIGNING_KEY_BYTES} bytes, got ${signingKey.length}`,
    );
  }
  return createHmac('sha256', signingKey).update('session-token\n').update(payload).digest();
}
