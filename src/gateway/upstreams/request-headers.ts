import type { Protocol } from '../protocols/protocol';
import type { Upstream } from './upstream';

/** What an agent's client says about how it speaks; anything else of its headers stays here, above all its key. */
const FORWARDED = ['anthropic-version', 'anthropic-beta', 'openai-beta'];

/** @param header a header of the agent's request. */
export function requestHeaders(
  protocol: Protocol,
  upstream: Upstream,
  header: (name: string) => string | undefined,
): Record<string, string> {
  return { ...forwarded(header), ...keyHeaders(protocol, upstream) };
}

function forwarded(header: (name: string) => string | undefined): Record<string, string> {
  const headers: Record<string, string> = {};
  for (const name of FORWARDED) {
    const value = header(name);
    if (value !== undefined) headers[name] = value;
  }
  return headers;
}

function keyHeaders(protocol: Protocol, { key }: Upstream): Record<string, string> {
  if (key === null) return {};
  return protocol.name === 'messages' ? { 'x-api-key': key } : { authorization: `Bearer ${key}` };
}
