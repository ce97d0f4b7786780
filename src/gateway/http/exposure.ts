import { BlockList, isIP } from 'node:net';
import { createSecureContext } from 'node:tls';
import { describeError, InvalidInputError } from '../../errors';
import { isLoopback } from './loopback';

/**
 * Why it is safe to listen on more than loopback, stated by whoever starts the gateway:
 *
 * - `tls`: we encrypt. `cert` and `key` are PEM.
 * - `proxies`: something in front of us encrypts; nobody but these addresses and this machine may connect.
 * - `plain`: anybody may connect without encryption. For the gateways of rollout batches, whose keys open one session for minutes.
 */
export type Exposure =
  | { readonly kind: 'tls'; readonly cert: string; readonly key: string }
  | { readonly kind: 'proxies'; readonly addresses: readonly [string, ...string[]] }
  | { readonly kind: 'plain' };

/** @throws {InvalidInputError} if keys and conversations would cross a network readable, or the certificate cannot be used. */
export function assertSafe(host: string, exposure: Exposure | null): void {
  if (exposure === null) {
    if (isLoopback(host)) return;
    throw new InvalidInputError(
      'the gateway is to listen beyond this machine without encryption: set RATCHET_GATEWAY_TLS_CERT and RATCHET_GATEWAY_TLS_KEY, or, where a proxy encrypts, RATCHET_GATEWAY_TRUSTED_PROXY to its addresses; or RATCHET_GATEWAY_HOST to 127.0.0.1',
      { context: { host } },
    );
  }
  if (exposure.kind !== 'tls') return;
  try {
    createSecureContext({ cert: exposure.cert, key: exposure.key });
  } catch (cause) {
    // Not as the cause: some of OpenSSL's errors quote what they could not read.
    const code = (cause as { readonly code?: unknown }).code;
    throw new InvalidInputError(
      'the TLS certificate cannot be used: expected a certificate and its key in PEM, which belong together',
      { context: { reason: typeof code === 'string' ? code : 'unreadable' } },
    );
  }
}

/** @returns whether somebody at a peer's address may connect. */
export function peerFilter(exposure: Exposure | null): (address: string | undefined) => boolean {
  if (exposure === null || exposure.kind !== 'proxies') return () => true;
  const proxies = toBlockList(exposure.addresses);
  return (address) => {
    if (address === undefined) return false; // it has gone already
    const family = isIP(address) === 6 ? 'ipv6' : 'ipv4';
    // Behind a socket for both families an IPv4 peer is `::ffff:10.0.0.1`, which the list understands and isLoopback does not.
    return isLoopback(address.replace(/^::ffff:/, '')) || proxies.check(address, family);
  };
}

/** @param addresses IP addresses and networks (`10.0.0.0/8`). @throws {InvalidInputError} naming the one that is neither. */
export function toBlockList(addresses: readonly string[]): BlockList {
  const list = new BlockList();
  for (const text of addresses) {
    const [address = '', prefix, ...rest] = text.split('/');
    const family = isIP(address) === 6 ? 'ipv6' : 'ipv4';
    try {
      if (rest.length > 0 || (prefix !== undefined && !/^\d{1,3}$/.test(prefix))) {
        throw new RangeError('not a network');
      }
      if (prefix === undefined) list.addAddress(address, family);
      else list.addSubnet(address, Number(prefix), family);
    } catch (cause) {
      throw new InvalidInputError(
        `not an address of a proxy: expected an IP address or a network such as 10.0.0.0/8, got ${JSON.stringify(text)}: ${describeError(cause)}`,
      );
    }
  }
  return list;
}
