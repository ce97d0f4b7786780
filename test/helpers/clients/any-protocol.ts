import Anthropic from '@anthropic-ai/sdk';
import OpenAI from 'openai';

/** The ways in which one question can be asked. The slow ones stream for a while. */
export const KINDS = [
  'chat',
  'chat stream',
  'chat slow stream',
  'responses stream',
  'responses slow stream',
  'messages',
  'messages stream',
] as const;
export type Kind = (typeof KINDS)[number];

export interface Asked {
  readonly kind: Kind;
  readonly question: string;
  /** Under which the upstream gave the answer; empty where nothing came. */
  readonly id: string;
  /** As far as it came. */
  readonly text: string;
  /** Whether the client knows that all of the answer has come. */
  readonly isWhole: boolean;
}

interface Reading {
  id: string;
  text: string;
  isWhole: boolean;
}

/** Asks the models `quick`, `slow` or `claude` by the protocol's own client, once. Does not throw: a connection that breaks leaves a part. */
export async function askAnything(
  kind: Kind,
  { baseUrl, apiKey }: { readonly baseUrl: string; readonly apiKey: string },
  session: string,
  question: string,
): Promise<Asked> {
  const reading: Reading = { id: '', text: '', isWhole: false };
  const defaultHeaders = { 'x-ratchet-session': session };
  try {
    if (kind.startsWith('messages')) {
      const client = new Anthropic({ baseURL: baseUrl, apiKey, maxRetries: 0, defaultHeaders });
      await readMessages(client, kind === 'messages stream', question, reading);
    } else {
      const baseURL = `${baseUrl}/v1`;
      const client = new OpenAI({ baseURL, apiKey, maxRetries: 0, defaultHeaders });
      const model = kind.includes('slow') ? 'slow' : 'quick';
      if (kind.startsWith('responses')) await readResponses(client, model, question, reading);
      else await readChat(client, model, kind !== 'chat', question, reading);
    }
  } catch {
    // The gateway was killed, or is not up again: how far the answer came is in `reading`.
  }
  return { kind, question, ...reading };
}

async function readChat(
  client: OpenAI,
  model: string,
  isStream: boolean,
  question: string,
  reading: Reading,
): Promise<void> {
  const messages = [{ role: 'user' as const, content: question }];
  if (!isStream) {
    const { id, choices } = await client.chat.completions.create({ model, messages });
    Object.assign(reading, { id, text: choices[0]?.message.content ?? '', isWhole: true });
    return;
  }
  const chunks = await client.chat.completions.create({ model, messages, stream: true });
  for await (const { id, choices } of chunks) {
    reading.id = id;
    reading.text += choices[0]?.delta.content ?? '';
    // From here on the client has the whole answer, whatever becomes of the connection.
    if (choices[0]?.finish_reason === 'stop') reading.isWhole = true;
  }
}

async function readResponses(
  client: OpenAI,
  model: string,
  question: string,
  reading: Reading,
): Promise<void> {
  const events = await client.responses.create({ model, input: question, stream: true });
  for await (const event of events) {
    if (event.type === 'response.created') reading.id = event.response.id;
    if (event.type === 'response.output_text.delta') reading.text += event.delta;
    if (event.type === 'response.completed') reading.isWhole = true;
  }
}

async function readMessages(
  client: Anthropic,
  isStream: boolean,
  question: string,
  reading: Reading,
): Promise<void> {
  const body = {
    ...{ model: 'claude', max_tokens: 1_000 },
    messages: [{ role: 'user' as const, content: question }],
  };
  if (!isStream) {
    const { id, content } = await client.messages.create(body);
    const text = content.map((block) => (block.type === 'text' ? block.text : '')).join('');
    Object.assign(reading, { id, text, isWhole: true });
    return;
  }
  for await (const event of await client.messages.create({ ...body, stream: true })) {
    if (event.type === 'message_start') reading.id = event.message.id;
    if (event.type === 'content_block_delta' && event.delta.type === 'text_delta') {
      reading.text += event.delta.text;
    }
    if (event.type === 'message_stop') reading.isWhole = true;
  }
}
