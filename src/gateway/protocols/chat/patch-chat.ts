import type { RequestPatch } from '../../../schemas/arm';
import type { ChatRequest } from '../../../schemas/chat';
import type { Message } from '../../../schemas/message';
import { editJson, type JsonEdit } from '../../http/edit-json';
import type { Patching, ProtocolCall } from '../protocol';

/** A change of the text, and the same of what was read of it. */
interface Change {
  readonly edits: readonly JsonEdit[];
  readonly request: ChatRequest;
}

/** Chat completions can say all that an arm may change. */
export const chatPatching: Patching = {
  parts: new Set(['systemSuffix', 'examples', 'toolChoice', 'temperature']),

  patch(call: ProtocolCall, patch: RequestPatch): ProtocolCall {
    const { edits, request } = [patchMessages, patchToolChoice, patchTemperature].reduce(
      (change: Change, part) => {
        const next = part(change.request, patch);
        return { edits: [...change.edits, ...next.edits], request: next.request };
      },
      { edits: [], request: call.request },
    );
    return { ...call, text: editJson(call.text, edits), request };
  },
};

const PARAGRAPH = '\n\n';

/**
 * The suffix goes into the last message of the system prompt (some servers take no second one), the examples behind it. Positions are those
 * of the text: both are read from the same list.
 */
function patchMessages(
  request: ChatRequest,
  { systemSuffix, examples = [] }: RequestPatch,
): Change {
  const prompt = request.messages.findIndex(
    ({ role }) => role !== 'system' && role !== 'developer',
  );
  const start = prompt === -1 ? request.messages.length : prompt;
  const before = request.messages.slice(0, start);
  const edits: JsonEdit[] = [];
  const inserted: Message[] = [...examples];
  const last = before.at(-1);
  if (systemSuffix !== undefined && last === undefined) {
    inserted.unshift({ role: 'system', content: systemSuffix });
  } else if (systemSuffix !== undefined && last !== undefined) {
    const content = withSuffix(last, systemSuffix);
    before[start - 1] = { ...last, content };
    edits.push({
      path: ['messages', String(start - 1), 'content'],
      to: JSON.stringify(content),
      isAdded: true,
    });
  }
  if (inserted.length > 0) {
    edits.push({
      path: ['messages', String(start)],
      to: inserted.map((message) => JSON.stringify(message)).join(','),
      isInserted: true,
    });
  }
  const messages = [...before, ...inserted, ...request.messages.slice(start)];
  return { edits, request: { ...request, messages } };
}

function withSuffix({ content }: Message, suffix: string): Message['content'] {
  if (content === null || content === undefined || content === '') return suffix;
  if (typeof content === 'string') return content + PARAGRAPH + suffix;
  return [...content, { type: 'text', text: suffix }];
}

/** Without tools there is nothing to choose among, and servers refuse a choice. */
function patchToolChoice(request: ChatRequest, { toolChoice }: RequestPatch): Change {
  if (toolChoice === undefined || (request.tools ?? []).length === 0) return { edits: [], request };
  const choice: ChatRequest['tool_choice'] =
    typeof toolChoice === 'string'
      ? toolChoice
      : { type: 'function', function: { name: toolChoice.function } };
  return {
    edits: [{ path: ['tool_choice'], to: JSON.stringify(choice), isAdded: true }],
    request: { ...request, tool_choice: choice },
  };
}

function patchTemperature(request: ChatRequest, { temperature }: RequestPatch): Change {
  if (temperature === undefined) return { edits: [], request };
  return {
    edits: [{ path: ['temperature'], to: JSON.stringify(temperature), isAdded: true }],
    request: { ...request, temperature },
  };
}
