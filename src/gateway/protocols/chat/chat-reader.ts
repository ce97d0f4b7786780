import type { Message } from '../../../schemas/message';
import { editJson, type JsonEdit } from '../../http/edit-json';
import { sseEvent } from '../../http/sse';
import { toAnswerMessage } from '../answer-message';
import type { AnswerReader, UpstreamAnswer } from '../protocol';
import { notOfProtocol } from '../not-of-protocol';
import { asObject, objectsOf, parseAnswer, tokenCounts, type JsonObject } from '../loose-json';
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
  let outputs: readonly Message[] | null = null;
  let hasFailed = false;

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
    usage = tokenCounts(asObject(body['usage']), 'prompt_tokens', 'completion_tokens') ?? usage;
    promptIds = body['prompt_token_ids'] ?? promptIds;
  };
  const inOrder = (): ChoiceDraft[] =>
    Array.from(drafts)
      .sort(([a], [b]) => a - b)
      .map(([, draft]) => draft);
  /** Once all choices are whole. @throws {UpstreamError} */
  const readOutputs = (): void => {
    const choices = inOrder();
    if (choices.length < options.choices || !choices.every((draft) => draft.isFinished())) return;
    outputs = choices.map((draft) =>
      toAnswerMessage(() => draft.message(), 'a message of the assistant'),
    );
  };

  return {
    whole(text) {
      const body = parseAnswer(text);
      readHead(body);
      for (const choice of objectsOf(body['choices'])) draftOf(choice).whole(choice);
      readOutputs();
      if (outputs === null) throw notOfProtocol('choices with a message each');
      return edits.length === 0 ? text : editJson(text, edits);
    },

    event({ text, name, data }) {
      if (data === null) return { text, isHeld: outputs !== null, isLast: false };
      if (data === '[DONE]') return { text, isHeld: true, isLast: true };
      const chunk = parseAnswer(data);
      readHead(chunk);
      if (asObject(chunk['error']) !== null && outputs === null) hasFailed = true;
      const choices = objectsOf(chunk['choices']);
      for (const choice of choices) draftOf(choice).add(choice);
      if (choices.length > 0) readOutputs();
      const isUsage = choices.length === 0 && asObject(chunk['usage']) !== null;
      if (isUsage && options.hidesUsage) return { text: '', isHeld: true, isLast: false };
      const shown = edits.length === 0 ? text : editEvent(text, name, data, edits);
      return { text: shown, isHeld: outputs !== null, isLast: false };
    },

    hasFailed: () => hasFailed,

    answer() {
      const [first] = inOrder();
      if (outputs === null || first === undefined) return null;
      const [finishReason, tokens] = [first.finishReason(), first.tokens(promptIds)];
      return { responseId, usage, finishReason, outputs, tokens };
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
