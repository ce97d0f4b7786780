import type { ApiKeyRecord, ApiKeyStore, Role } from './api-keys';
import { API_KEY_PREFIX } from './api-keys';
import { createApiKeyVerifier } from './api-key-verifier';
import { RecentMap } from '../recent-map';
import { forbidden, unauthorized } from '../http/request-error';
import type { SessionClaims } from './session-token';
import { isExpired, SESSION_TOKEN_PREFIX, verifySessionToken } from './session-token';

/** Who makes a request: the holder of a session's signed token, or of a long-lived key. */
export type Principal =
  | { readonly kind: 'session'; readonly claims: SessionClaims }
  | { readonly kind: 'key'; readonly record: ApiKeyRecord };

/** `session` is a rollout's token; the others are roles of long-lived keys. */
export type Admitted = Role | 'session';

export type Credentials =
  | { readonly authorization: string | undefined; readonly xApiKey: string | undefined }
  /** Of the path `/s/<token>/v1/…`. Whatever key the agent sends beside it is a dummy. */
  | { readonly sessionToken: string };

/**
 * @throws {RequestError} 401 if there is no valid key, 403 if its role is not among `admits`.
 */
export type Authenticate = (
  credentials: Credentials,
  admits: readonly Admitted[],
) => Promise<Principal>;

/** Session keys that were verified and are used again: those of agents that run now, and a rollout batch runs at most so many at once. */
const KEPT_SESSIONS = 1_024;

export function createAuthenticate(
  signingKey: Uint8Array,
  apiKeys: ApiKeyStore | null,
  now: () => number,
  /** Told of each use of a key that was verified; must return at once. */
  onKeyUse: (id: string, nowMs: number) => void = () => undefined,
): Authenticate {
  const verifyApiKey = apiKeys === null ? null : createApiKeyVerifier(apiKeys, now, onKeyUse);
  // By the whole key, so that only what was verified to its last character is found. A signature stays right; time goes on.
  const verified = new RecentMap<string, SessionClaims>(KEPT_SESSIONS);
  const claimsOf = (key: string): SessionClaims => {
    const known = verified.get(key);
    if (known !== undefined && !isExpired(known, now())) return known;
    const claims = verifySessionToken(signingKey, key, now());
    verified.set(key, claims);
    return claims;
  };

  const identify = async (key: string): Promise<Principal> => {
    if (key.startsWith(SESSION_TOKEN_PREFIX)) {
      return { kind: 'session', claims: claimsOf(key) };
    }
    if (!key.startsWith(API_KEY_PREFIX)) {
      throw unauthorized('the API key is malformed: expected rks-… (a session) or rk-… (a key)');
    }
    if (verifyApiKey === null) {
      throw unauthorized('this gateway only serves sessions: expected a session key (rks-…)');
    }
    return { kind: 'key', record: await verifyApiKey(key) };
  };

  return async (credentials, admits) => {
    const principal = await identify(keyOf(credentials));
    const role = principal.kind === 'session' ? 'session' : principal.record.role;
    if (!admits.includes(role)) {
      throw forbidden(`a key of role ${role} may not do this: expected ${admits.join(' or ')}`);
    }
    return principal;
  };
}

function keyOf(credentials: Credentials): string {
  if ('sessionToken' in credentials) {
    const { sessionToken } = credentials;
    if (sessionToken.startsWith(SESSION_TOKEN_PREFIX)) return sessionToken;
    // A long-lived key would end up in the logs of every proxy on the way.
    throw unauthorized('the path names no session: expected /s/<session key, rks-…>/v1/…');
  }
  const { authorization, xApiKey } = credentials;
  const bearer = /^Bearer +(\S+)$/i.exec(authorization ?? '')?.[1];
  const key = bearer ?? xApiKey;
  if (key === undefined || key === '') {
    throw unauthorized(
      'no API key was given: send `Authorization: Bearer <key>` or `x-api-key: <key>`',
    );
  }
  return key;
}
