/** What gateways name a live call's session that its client did not name: this and a UUID. */
export const UNNAMED_PREFIX = 'call-';

/**
 * Whether a session's id was made up by a gateway, for one call. Segments of before this prefix have a bare UUID there, which a client may
 * have named as well: those count as named.
 */
export function isUnnamedSession(session: string): boolean {
  return /^live\/[^/]+\/call-[0-9a-f]{8}-[0-9a-f-]{27}$/.test(session);
}
