import { InvalidInputError } from '../../../src/errors';
import { RequestError } from '../../../src/gateway/http/request-error';
import { mintSessionToken, verifySessionToken } from '../../../src/gateway/keys/session-token';
import { claimsOf, NOW, SIGNING_KEY } from './gateway-fixture';

const token = mintSessionToken(SIGNING_KEY, claimsOf());

function refusal(text: string, key = SIGNING_KEY, nowMs = NOW): RequestError {
  try {
    verifySessionToken(key, text, nowMs);
  } catch (error) {
    if (error instanceof RequestError) return error;
    throw error;
  }
  throw new Error('it was accepted');
}

describe('session tokens', () => {
  test('give back the claims that they were minted with', () => {
    expect(verifySessionToken(SIGNING_KEY, token, NOW)).toEqual(claimsOf());
    expect(token).toMatch(/^rks-[A-Za-z0-9_-]+\.[A-Za-z0-9_-]{43}$/);
  });

  test('are refused when any character of the claims or the signature was changed', () => {
    for (let i = 'rks-'.length; i < token.length - 1; i++) {
      if (token[i] === '.') continue;
      const changed = token.slice(0, i) + (token[i] === 'A' ? 'B' : 'A') + token.slice(i + 1);
      expect(refusal(changed)).toMatchObject({ status: 401, reason: 'invalid_api_key' });
    }
  });

  test('of another signing key are forged', () => {
    expect(refusal(token, new Uint8Array(32).fill(2)).message).toMatch(
      /signature .* does not match/,
    );
  });

  test('without a signature, or with more than one, are malformed', () => {
    for (const text of ['rks-', 'rks-abc', `${token}.x`, token.slice(1), `x${token}`]) {
      expect(refusal(text).message).toMatch(/malformed/);
    }
    expect(refusal('rks-abc.def').message).toMatch(/signature/);
  });

  test('expire at the second that they name', () => {
    const expiresMs = claimsOf().expiresAt * 1_000;
    expect(verifySessionToken(SIGNING_KEY, token, expiresMs - 1)).toBeDefined();
    expect(refusal(token, SIGNING_KEY, expiresMs)).toMatchObject({
      status: 401,
      reason: 'session_expired',
      message: 'the session key expired at 2026-11-23T12:01:00.000Z: ask for a new session',
    });
  });

  test('never show themselves in a refusal', () => {
    const forged = `${token.slice(0, -5)}AAAAA`;
    expect(refusal(forged).message).not.toContain(forged.slice(4, 20));
  });

  test('are not minted for claims that do not fit, or with a short key', () => {
    const mint =
      (claims: object, key = SIGNING_KEY) =>
      () =>
        mintSessionToken(key, { ...claimsOf(), ...claims });
    expect(mint({ session: 'live/desk/1' })).toThrow(InvalidInputError);
    expect(mint({ policy: null })).toThrow(/a checkpoint is pinned for a policy/);
    expect(mint({ agent: 'Not a name' })).toThrow(/agent/);
    expect(mint({}, new Uint8Array(16))).toThrow(/expected 32 bytes, got 16/);
  });
});
