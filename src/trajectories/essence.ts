import type { Message, ToolCall } from '../schemas/message';
import { textOf } from '../schemas/message';
import { canonicalJson } from '../storage/canonical-json';
import { sha256Hex } from '../storage/digest';

/**
 * What a message says, however it is spelled: clients send an answer back with its text as a list of parts, without its reasoning, with
 * arguments that were parsed and written again, with members of their own. 64 hexadecimal digits; equal for messages that say the same.
 *
 * An assistant's is its text and its tool calls. Of everyone else also what is no text (images, files) counts, as it is.
 */
export function essenceOf(message: Message): string {
  const known = essences.get(message);
  if (known !== undefined) return known;
  const { role, content, tool_calls: calls, tool_call_id: callId } = message;
  const isAssistant = role === 'assistant';
  const other =
    isAssistant || !Array.isArray(content) ? [] : content.filter((part) => part.type !== 'text');
  const essence = sha256Hex(
    canonicalJson([
      role === 'developer' ? 'system' : role, // the one word took the place of the other
      textOf(message).trim(),
      other,
      (calls ?? []).map(callOf),
      callId ?? null,
    ]),
  );
  essences.set(message, essence);
  return essence;
}

// A segment holds each message once, and each call of a conversation names all that came before.
const essences = new WeakMap<Message, string>();

function callOf(call: ToolCall): unknown {
  if (call.function === undefined) return call;
  const { name, arguments: text } = call.function;
  return [call.id, name, parsed(text)];
}

function parsed(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch {
    return json; // a model may write arguments that are no JSON: then the text is what they say
  }
}

export function isInstruction({ role }: Message): boolean {
  return role === 'system' || role === 'developer';
}
