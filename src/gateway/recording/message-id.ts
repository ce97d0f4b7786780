import type { Message } from '../../schemas/message';
import { canonicalJson } from '../../storage/canonical-json';
import { sha256Hex } from '../../storage/digest';

/**
 * sha256 of the message's canonical JSON, 64 hexadecimal digits. Members that are null are left out: clients echo an answer with
 * (`refusal: null`) or without them, and it is the same message.
 */
export function messageId(message: Message): string {
  return sha256Hex(canonicalJson(withoutNulls(message)));
}

function withoutNulls(message: Message): object {
  if (!Object.values(message).includes(null)) return message; // most: nothing to copy
  return Object.fromEntries(Object.entries(message).filter(([, value]) => value !== null));
}
