import type { Message } from '../schemas/message';
import { canonicalJson } from '../storage/canonical-json';
import { sha256Hex } from '../storage/digest';

/**
 * sha256 of the message's canonical JSON, 64 hexadecimal digits. Members that are null are left out: clients echo an answer with
 * (`refusal: null`) or without them, and it is the same message.
 */
export function messageId(message: Message): string {
  const members = Object.entries(message).filter(([, value]) => value !== null);
  return sha256Hex(canonicalJson(Object.fromEntries(members)));
}
