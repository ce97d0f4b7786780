import { createHmac, timingSafeEqual } from 'node:crypto';

/**
 * Response ids carry who they belong to, so that feedback on one needs no lookup and cannot be made up.
 *
 *     <prefix><base64url of: kind (1 byte) | tag (12 bytes) | call (16 bytes) | "<agent> <session id>">
 *
 * - kind 1: the answer is a recorded decision; kind 0: nothing was decided, feedback on it goes to the whole trajectory.
 * - call: for a rollout a hash of what was asked, so that a retry of the same request gets the same id; for live traffic random.
 * - tag: the first 96 bits of HMAC-SHA256 over the rest. Guessing one is hopeless, and a wrong one only answers 400.
 *
 * The session's name can be read by whoever holds the id; it is the client's own name for it.
 */
export interface ResponseIdParts {
  /** @default chatcmpl- */
  readonly prefix?: ResponseIdPrefix;
  readonly agent: string;
  readonly session: string;
  readonly isDecision: boolean;
  readonly call: Uint8Array; // [16]
}

/** As the protocols' clients know them: chat completions, Responses, Messages. */
const PREFIXES = ['chatcmpl-', 'resp_', 'msg_'] as const;
export type ResponseIdPrefix = (typeof PREFIXES)[number];
const TAG_BYTES = 12;
export const CALL_BYTES = 16;
const HEAD_BYTES = 1 + TAG_BYTES + CALL_BYTES;

export function createResponseId(signingKey: Uint8Array, parts: ResponseIdParts): string {
  const text = Buffer.from(`${parts.agent} ${parts.session}`);
  const bytes = Buffer.allocUnsafe(HEAD_BYTES + text.length);
  bytes[0] = parts.isDecision ? 1 : 0;
  bytes.set(parts.call, 1 + TAG_BYTES);
  bytes.set(text, HEAD_BYTES);
  const { prefix = 'chatcmpl-' } = parts;
  bytes.set(tagOf(signingKey, prefix, bytes), 1);
  return prefix + bytes.toString('base64url');
}

/** @returns null unless the id was created with the same key. */
export function readResponseId(
  signingKey: Uint8Array,
  id: string,
): Omit<ResponseIdParts, 'call' | 'prefix'> | null {
  const prefix = PREFIXES.find((known) => id.startsWith(known));
  if (prefix === undefined) return null;
  const encoded = id.slice(prefix.length);
  const bytes = Buffer.from(encoded, 'base64url');
  // base64url has several spellings of some bytes, and a decision's id is compared as text.
  if (bytes.length <= HEAD_BYTES || bytes.toString('base64url') !== encoded) return null;
  const tag = bytes.subarray(1, 1 + TAG_BYTES);
  if (!timingSafeEqual(tag, tagOf(signingKey, prefix, bytes))) return null;
  const text = bytes.toString('utf8', HEAD_BYTES);
  const space = text.indexOf(' ');
  return {
    agent: text.slice(0, space),
    session: text.slice(space + 1),
    isDecision: bytes[0] === 1,
  };
}

/** Whether an id is made as ours are, whoever signed it: one that is and that we cannot read is no upstream's, but changed or another installation's. */
export function isLikeResponseId(id: string): boolean {
  const prefix = PREFIXES.find((known) => id.startsWith(known));
  if (prefix === undefined) return false;
  const text = Buffer.from(id.slice(prefix.length), 'base64url').toString('utf8', HEAD_BYTES);
  return /^[a-z0-9][a-z0-9-]{0,62} ./s.test(text);
}

function tagOf(signingKey: Uint8Array, prefix: ResponseIdPrefix, bytes: Buffer): Buffer {
  return createHmac('sha256', signingKey)
    .update(prefix === 'chatcmpl-' ? 'response-id\n' : `response-id ${prefix}\n`)
    .update(bytes.subarray(0, 1))
    .update(bytes.subarray(1 + TAG_BYTES))
    .digest()
    .subarray(0, TAG_BYTES);
}
