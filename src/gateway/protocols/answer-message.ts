import { Message } from '../../schemas/message';
import { toOrdinary } from '../http/json-body';
import { notOfProtocol } from './not-of-protocol';

/**
 * An upstream's answer as a message that can be recorded. An answer that was cut at its length may end with half of an emoji, which becomes
 * U+FFFD as it does in a request: its client gets what the upstream wrote, and what it sends back is the same message.
 *
 * @param read throws where the answer is not of the protocol.
 * @throws {UpstreamError}
 */
export function toAnswerMessage(read: () => unknown, expected: string): Message {
  try {
    return Message.parse(toOrdinary(read()));
  } catch (cause) {
    throw notOfProtocol(expected, cause);
  }
}
