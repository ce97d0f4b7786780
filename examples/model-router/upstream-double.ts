import { createHash, randomUUID } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { z } from 'zod';
import type { DatasetSource } from '../../src/schemas/task';
import { skills } from '../support-desk/desk';
import { parseReference } from '../support-desk/reference';
import { CHEAP_IS_GOOD_AT, GOOD, MODELS, POOR, USAGE, type ModelName } from './models';

export interface UpstreamDouble {
  /** What an upstream's `url` says. */
  readonly url: string;
  close(): Promise<void>;
}

const Request = z.looseObject({
  model: z.enum(MODELS),
  messages: z.array(z.looseObject({ role: z.string(), content: z.string().nullish() })).min(1),
});

/**
 * A server that plays both models. They know what each query of the dataset was about; whether one tells is decided by a hash of model and
 * query, so the same query always gets the same answer from the same model.
 */
export async function startUpstreamDouble({
  tasks,
}: Pick<DatasetSource, 'tasks'>): Promise<UpstreamDouble> {
  const known = new Map(
    tasks.map(({ input, slice, reference }) => [
      (input as { query: string }).query,
      { domain: slice, intent: parseReference(reference).intent },
    ]),
  );

  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const parsed = Request.safeParse(parseOrNull(await text(request)));
    if (!parsed.success) return send(response, 400, refusal('not a request to one of the doubles'));
    const { model, messages } = parsed.data;
    const query = messages.findLast(({ role }) => role === 'user')?.content ?? '';
    const { domain, intent } = known.get(query) ?? { domain: '', intent: null };
    const isRight = chance(`${model}:${query}`) < skillOf(model, domain);
    const others = skills.filter(({ name }) => name !== intent);
    const other = others[Math.floor(chance(`${model}?${query}`) * others.length)]?.name ?? '';
    send(response, 200, completion(model, isRight && intent !== null ? intent : other, query));
  };
  const server = createServer((request, response) => {
    answer(request, response).catch(() => response.destroy()); // the client went
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}/v1`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

export function skillOf(model: ModelName, domain: string): number {
  return model === 'dear' || CHEAP_IS_GOOD_AT.has(domain) ? GOOD : POOR;
}

/** In [0, 1), always the same for the same text. */
function chance(of: string): number {
  return createHash('sha256').update(of).digest().readUIntBE(0, 6) / 2 ** 48;
}

function completion(model: ModelName, tool: string, input: string): object {
  const call = {
    id: `call_${randomUUID()}`,
    type: 'function',
    function: { name: tool, arguments: JSON.stringify({ input }) },
  };
  const message = { role: 'assistant', content: null, tool_calls: [call] };
  return {
    ...{ id: `chatcmpl-${randomUUID()}`, object: 'chat.completion', model },
    created: Math.floor(Date.now() / 1_000),
    choices: [{ index: 0, message, finish_reason: 'tool_calls' }],
    usage: { ...USAGE, total_tokens: USAGE.prompt_tokens + USAGE.completion_tokens },
  };
}

function refusal(message: string): object {
  return { error: { message, type: 'invalid_request_error', param: null, code: null } };
}

function send(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
}

function parseOrNull(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch {
    return null; // refused like anything else that is no request
  }
}
