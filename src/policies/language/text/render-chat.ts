import { InvalidInputError } from '../../../errors';
import type { Message } from '../../../schemas/message';
import {
  GENERATION_END,
  GENERATION_START,
  type ChatTemplate,
  type ChatTemplateInput,
} from './chat-template';
import type { LanguageTokenizer } from './tokenizer';

/** What renders a conversation for a model. */
export interface ChatRenderer {
  readonly tokenizer: LanguageTokenizer;
  readonly template: ChatTemplate;
}

export interface RenderedChat {
  readonly ids: number[];
  /** 1 where the model wrote the token itself: its answers and calls, with the token that ends a turn. One per id. */
  readonly mask: Uint8Array;
}

/** The ids that a model reads to go on with a conversation, as apply_chat_template gives them. */
export function renderPrompt(
  { tokenizer, template }: ChatRenderer,
  input: Omit<ChatTemplateInput, 'addGenerationPrompt'>,
): number[] {
  return tokenizer.encode(template.render({ ...input, addGenerationPrompt: true }));
}

/**
 * A conversation's ids, and which of them the model wrote: what it is to learn from.
 *
 * Where the template does not say it ({% generation %}), a turn of the model is what comes behind the prompt for it, up to the last token that
 * ends a turn. A token that holds both what was given and what was written is not marked: a model never writes it.
 *
 * @throws {InvalidInputError} if the template writes earlier turns differently once others follow, so that nobody can tell.
 */
export function renderChat(
  { tokenizer, template }: ChatRenderer,
  input: Omit<ChatTemplateInput, 'addGenerationPrompt'>,
): RenderedChat {
  const { text, spans } = template.marksGeneration
    ? markedSpans(template, input)
    : derivedSpans(template, input, tokenizer.config.eos_token ?? null);
  const ids = tokenizer.encode(text);
  const mask = new Uint8Array(ids.length);
  for (const [from, to] of spans) {
    const before = tokenizer.encode(text.slice(0, from));
    const start = commonLength(ids, before);
    const end = commonLength(ids, tokenizer.encode(text.slice(0, to)));
    // Fewer in common than were given: the next token straddles the place.
    mask.fill(1, start < before.length ? start + 1 : start, end);
  }
  return { ids, mask };
}

type Span = readonly [from: number, to: number];

function markedSpans(
  template: ChatTemplate,
  input: ChatTemplateInput,
): { readonly text: string; readonly spans: readonly Span[] } {
  const marked = template.renderMarked(input);
  const spans: Span[] = [];
  let text = '';
  let from = -1;
  for (const piece of marked.split(new RegExp(`([${GENERATION_START}${GENERATION_END}])`, 'u'))) {
    if (piece === GENERATION_START) from = text.length;
    else if (piece === GENERATION_END) {
      if (from >= 0) spans.push([from, text.length]);
      from = -1;
    } else text += piece;
  }
  return { text, spans };
}

function derivedSpans(
  template: ChatTemplate,
  input: ChatTemplateInput,
  endOfTurn: string | null,
): { readonly text: string; readonly spans: readonly Span[] } {
  const text = template.render(input);
  const spans: Span[] = [];
  input.messages.forEach((message, i) => {
    if (message.role !== 'assistant') return;
    const upTo = (messages: readonly Message[], addGenerationPrompt: boolean): string =>
      template.render({ ...input, messages, addGenerationPrompt });
    const before = upTo(input.messages.slice(0, i), true);
    const whole = upTo(input.messages.slice(0, i + 1), false);
    if (!whole.startsWith(before) || !text.startsWith(whole)) {
      throw new InvalidInputError(
        'the chat template writes a turn differently once others follow: what the model wrote cannot be told; give the template {% generation %} blocks',
        { context: { message: i } },
      );
    }
    const written = whole.slice(before.length);
    // Behind the end of its turn a template may go on, with a line break for example.
    const end = endOfTurn === null ? -1 : written.lastIndexOf(endOfTurn);
    const length = end < 0 ? written.length : end + (endOfTurn as string).length;
    spans.push([before.length, before.length + length]);
  });
  return { text, spans };
}

function commonLength(a: readonly number[], b: readonly number[]): number {
  const most = Math.min(a.length, b.length);
  let n = 0;
  while (n < most && a[n] === b[n]) n++;
  return n;
}
