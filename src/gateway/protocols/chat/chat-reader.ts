import { Message } from '../../../schemas/message';
import { editJson, type JsonEdit } from '../../http/edit-json';
import { sseEvent } from '../../http/sse';
import type { AnswerReader, UpstreamAnswer } from '../protocol';
import { notOfProtocol } from '../protocol';
import { asObject, objectsOf, type JsonObject } from '../loose-json';
import { createChoiceDraft, type ChoiceDraft } from './choice-draft';

export interface ChatReaderOptions {
  /** How many choices the answer has: `n` of the request. */
  readonly choices: number;
  /** Whether what we asked for besides is taken out again. */
  readonly hidesUsage: boolean;
  readonly hidesTokenIds: boolean;
  readonly hidesLogprobs: boolean;
}

/** Nobody writes more choices than this, and each takes memory. */
const MAX_CHOICES = 128;

/** Reads chat completions, whole or in chunks. Source: https://platform.openai.com/docs/api-reference/chat-streaming */
export function createChatReader(options: ChatReaderOptions): AnswerReader {
  const drafts = new Map<number, ChoiceDraft>();
  const edits = hidingEdits(options);
  let responseId: string | null = null;
  let usage: UpstreamAnswer['usage'] = null;
  let promptIds: unknown;

  const draftOf = (choice: JsonObject): ChoiceDraft => {
    const index = Number(choice['index'] ?? 0);
    let draft = drafts.get(index);
    if (draft === undefined) {
      if (drafts.size === MAX_CHOICES) throw notOfProtocol(`at most ${MAX_CHOICES} choices`);
      drafts.set(index, (draft = createChoiceDraft()));
    }
    return draft;
  };
  const readHead = (body: JsonObject): void => {
    if (typeof body['id'] === 'string') responseId = body['id'];
    usage = usageOf(body['usage']) ?? usage;
    promptIds = body['prompt_token_ids'] ?? promptIds;
  };
  const isWhole = (): boolean =>
    drafts.size >= options.choices && [...drafts.values()].every((draft) => draft.isFinished());

  return {
    whole(text) {
      const body = parse(text);
      readHead(body);
      for (const choice of objectsOf(body['choices'])) draftOf(choice).whole(choice);
      if (!isWhole()) throw notOfProtocol('choices with a message each');
      return edits.length === 0 ? text : editJson(text, edits);
    },

    event({ text, name, data }) {
      if (data === null) return { text, isHeld: isWhole(), isLast: false };
      if (data === '[DONE]') return { text, isHeld: true, isLast: true };
      const chunk = parse(data);
      readHead(chunk);
      const choices = objectsOf(chunk['choices']);
      for (const choice of choices) draftOf(choice).add(choice);
      const isUsage = choices.length === 0 && asObject(chunk['usage']) !== null;
      if (isUsage && options.hidesUsage) return { text: '', isHeld: true, isLast: false };
      const shown = edits.length === 0 ? text : editEvent(text, name, data, edits);
      return { text: shown, isHeld: isWhole(), isLast: false };
    },

    answer() {
      if (!isWhole()) return null;
      const ordered = Array.from(drafts).sort(([a], [b]) => a - b);
      const [first, ...others] = ordered.map(([, draft]) => draft) as [
        ChoiceDraft,
        ...ChoiceDraft[],
      ];
      return {
        ...{ responseId, usage, finishReason: first.finishReason() },
        outputs: [toMessage(first), ...others.map(toMessage)],
        tokens: first.tokens(promptIds),
      };
    },
  };
}

function hidingEdits({ hidesUsage, hidesTokenIds, hidesLogprobs }: ChatReaderOptions): JsonEdit[] {
  const edits: JsonEdit[] = [];
  if (hidesUsage) edits.push({ path: ['usage'], to: null });
  if (hidesTokenIds) {
    edits.push({ path: ['prompt_token_ids'], to: null });
    edits.push({ path: ['choices', '*', 'token_ids'], to: null });
  }
  if (hidesLogprobs) edits.push({ path: ['choices', '*', 'logprobs'], to: 'null' });
  return edits;
}

/** The event with other data: its own lines but for those, unless its data came in several. */
function editEvent(text: string, name: string, data: string, edits: readonly JsonEdit[]): string {
  const edited = editJson(data, edits);
  if (edited === data) return text;
  return text.includes(data) ? text.replace(data, () => edited) : sseEvent(edited, name);
}

function parse(text: string): JsonObject {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw notOfProtocol('JSON'); // the parser's own message quotes the text
  }
  const body = asObject(value);
  if (body === null) throw notOfProtocol('a JSON object');
  return body;
}

function toMessage(draft: ChoiceDraft): Message {
  const message = Message.safeParse(draft.message());
  if (!message.success) throw notOfProtocol('a message of the assistant');
  return message.data;
}

function usageOf(value: unknown): UpstreamAnswer['usage'] {
  const usage = asObject(value);
  const [prompt, completion] = [usage?.['prompt_tokens'], usage?.['completion_tokens']];
  if (!isCount(prompt) || !isCount(completion)) return null;
  const cached = asObject(usage?.['prompt_tokens_details'])?.['cached_tokens'];
  return {
    ...{ promptTokens: prompt, completionTokens: completion },
    ...(isCount(cached) ? { cacheReadTokens: cached } : {}),
  };
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}
