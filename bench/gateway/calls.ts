import { sseEvent } from '../../src/gateway/http/sse';

/** What is asked: how long prompt and answer are, and whether the upstream gives token ids and log-probabilities. */
export const CALLS = {
  /** 150 tokens of text asked, 50 answered. */
  small: { promptTokens: 150, answerTokens: 50, tokenIds: false },
  /** 1,500 tokens asked, 150 answered, with the ids of both and the logprobs of the answer. */
  large: { promptTokens: 1_500, answerTokens: 150, tokenIds: true },
} as const;
export type CallKind = keyof typeof CALLS;

/**
 * Bytes with numbers in them that are written anew for each call, so that no two calls say the same. As letters, `a` for 0: eight digits, most
 * of them zeros, could be a telephone number, and redaction would look up each.
 */
export interface Template {
  readonly bytes: Buffer;
  /** Writes `value` (below 10^8) wherever the template's text has `mark`. */
  set(mark: Mark, value: number): void;
}
type Mark = typeof CALL_MARK | typeof SESSION_MARK;

export const CALL_MARK = '<<call>>'; // as long as the number
export const SESSION_MARK = '<<sess>>';
const LETTER_A = 97;

export function template(text: string): Template {
  const bytes = Buffer.from(text, 'latin1');
  const offsets = new Map(
    [CALL_MARK, SESSION_MARK].map((mark) => [mark, offsetsOf(bytes, mark)] as const),
  );
  return {
    bytes,
    set(mark, value) {
      for (const at of offsets.get(mark) ?? []) {
        let rest = value;
        for (let i = mark.length - 1; i >= 0; i--) {
          bytes[at + i] = LETTER_A + (rest % 10);
          rest = Math.floor(rest / 10);
        }
      }
    },
  };
}

function offsetsOf(bytes: Buffer, mark: string): number[] {
  const found: number[] = [];
  for (let at = bytes.indexOf(mark); at !== -1; at = bytes.indexOf(mark, at + 1)) found.push(at);
  return found;
}

/** Turns of the conversation that an agent sends again with each call; the large prompt is made of them, the small one of one. */
const HISTORY = { small: 0, large: 6 } as const;
/** Of English text and of the tokens of today's models. */
const CHARACTERS_PER_TOKEN = 4;

/**
 * A request as it goes over the wire: an instruction that all calls share, turns that the calls of a session share, and a question of its
 * own. @param headers lines without line ends.
 */
export function requestTemplate(
  kind: CallKind,
  isStream: boolean,
  path: string,
  headers: readonly string[],
): Template {
  const history = HISTORY[kind];
  const length = (CALLS[kind].promptTokens * CHARACTERS_PER_TOKEN) / (history + 2);
  const body = JSON.stringify({
    model: kind,
    messages: [
      { role: 'system', content: prose(length, '') },
      ...Array.from({ length: history }, (_, i) => ({
        role: i % 2 === 0 ? 'user' : 'assistant',
        content: prose(length, `turn ${i} of ${SESSION_MARK}: `),
      })),
      { role: 'user', content: prose(length, `question ${CALL_MARK}: `) },
    ],
    temperature: 1,
    ...(isStream ? { stream: true } : {}),
  });
  const head = [
    `POST ${path}/chat/completions HTTP/1.1`,
    'host: bench',
    'content-type: application/json',
    `content-length: ${body.length}`,
    ...headers,
  ];
  return template(`${head.join('\r\n')}\r\n\r\n${body}`);
}

/** The body of an answer that is not streamed. */
export function answerText(kind: CallKind): string {
  const { promptTokens, answerTokens, tokenIds } = CALLS[kind];
  const pieces = answerPieces(kind);
  return JSON.stringify({
    ...head('chat.completion'),
    choices: [
      {
        index: 0,
        message: { role: 'assistant', content: pieces.join(''), refusal: null },
        logprobs: tokenIds ? { content: pieces.map(logprobOf) } : null,
        finish_reason: 'stop',
        ...(tokenIds ? { token_ids: pieces.map(idOf) } : {}),
      },
    ],
    usage: usage(promptTokens, answerTokens),
    ...(tokenIds ? { prompt_token_ids: Array.from({ length: promptTokens }, idOf) } : {}),
  });
}

/** The same answer as events, one for each token. */
export function answerEvents(kind: CallKind): string[] {
  const { promptTokens, answerTokens, tokenIds } = CALLS[kind];
  const chunk = (rest: object): string =>
    sseEvent(JSON.stringify({ ...head('chat.completion.chunk'), ...rest }));
  const choice = (delta: object, rest: object = {}): object => ({
    choices: [{ index: 0, delta, logprobs: null, finish_reason: null, ...rest }],
  });
  return [
    chunk({
      ...choice({ role: 'assistant', content: '' }),
      ...(tokenIds ? { prompt_token_ids: Array.from({ length: promptTokens }, idOf) } : {}),
    }),
    ...answerPieces(kind).map((content, i) =>
      chunk(
        choice(
          { content },
          tokenIds
            ? { logprobs: { content: [logprobOf(content, i)] }, token_ids: [idOf(0, i)] }
            : {},
        ),
      ),
    ),
    chunk(choice({}, { finish_reason: 'stop' })),
    chunk({ choices: [], usage: usage(promptTokens, answerTokens) }),
    'data: [DONE]\n\n',
  ];
}

function head(object: string): object {
  return { id: `chatcmpl-${CALL_MARK}`, object, created: 1_790_000_000, model: 'double-1' };
}

function usage(prompt: number, completion: number): object {
  return {
    prompt_tokens: prompt,
    completion_tokens: completion,
    total_tokens: prompt + completion,
  };
}

/** One for each token. */
function answerPieces(kind: CallKind): string[] {
  const { answerTokens } = CALLS[kind];
  return Array.from({ length: answerTokens }, (_, i) =>
    i === 1 ? ` ${CALL_MARK}` : ` ${WORDS[i % WORDS.length] ?? ''}`,
  );
}

function logprobOf(token: string, i: number): object {
  return { token, logprob: -0.01234567 * (1 + (i % 97)), bytes: null, top_logprobs: [] };
}

function idOf(_: unknown, i: number): number {
  return 10_000 + ((i * 7_919) % 120_000);
}

const WORDS = 'the card was sent to you on a day that we no longer know of and is void'.split(' ');

function prose(length: number, beginning: string): string {
  let text = beginning;
  for (let i = 0; text.length < length; i++) text += `${WORDS[(i * 5) % WORDS.length] ?? ''} `;
  return text;
}
