import { createHmac } from 'node:crypto';
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
    for (let i = 'rks-'.length; i < token.length; i++) {
      if (token[i] === '.') continue;
      const changed = token.slice(0, i) + (token[i] === 'A' ? 'B' : 'A') + token.slice(i + 1);
      expect(refusal(changed)).toMatchObject({ status: 401, reason: 'invalid_api_key' });
    }
  });

  test('are refused when they were cut anywhere', () => {
    for (let length = 0; length < token.length; length++) {
      expect(refusal(token.slice(0, length))).toMatchObject({ status: 401 });
    }
  });

  test('have one spelling: what decodes to the same signature is another token', () => {
    const [head = '', signature = ''] = token.split('.');
    const last = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
    const bytes = Buffer.from(signature, 'base64url');
    const twins = Array.from(last, (character) => signature.slice(0, -1) + character).filter(
      (text) => text !== signature && Buffer.from(text, 'base64url').equals(bytes),
    );
    expect(twins.length).toBeGreaterThan(0);
    for (const text of [...twins, `${signature}=`, `${signature}!`, `\n${signature}`]) {
      expect(refusal(`${head}.${text}`).message).toMatch(/signature/);
    }
  });

  test('name no algorithm, so none can be chosen: JSON Web Tokens are nothing to us', () => {
    const part = (value: object): string =>
      Buffer.from(JSON.stringify(value)).toString('base64url');
    const payload = part(claimsOf());
    const sha = (text: string): string =>
      createHmac('sha256', SIGNING_KEY).update(text).digest('base64url');
    const none = `${part({ alg: 'none' })}.${payload}.`;
    const hs256 = `${part({ alg: 'HS256' })}.${payload}`;
    for (const forged of [
      ...[none, `rks-${none}`, `${hs256}.${sha(hs256)}`, `rks-${hs256}.${sha(hs256)}`],
      ...[`rks-${payload}.`, `rks-${payload}.${sha(payload)}`, `rks-${payload}.${'A'.repeat(43)}`],
    ]) {
      expect(refusal(forged)).toMatchObject({ status: 401 });
    }
  });

  test('cannot be made of the signature of a response id, which the same key gives', () => {
    const payload = Buffer.from(JSON.stringify(claimsOf())).toString('base64url');
    const tag = createHmac('sha256', SIGNING_KEY).update(`response-id\n${payload}`).digest();
    expect(refusal(`rks-${payload}.${tag.toString('base64url')}`).message).toMatch(/signature/);
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
