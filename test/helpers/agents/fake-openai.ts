import { createServer, type IncomingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';
import { json } from 'node:stream/consumers';

export interface SeenRequest {
  readonly headers: IncomingHttpHeaders;
  readonly body: {
    readonly model: string;
    readonly messages: readonly { readonly role: string; readonly content: string }[];
    readonly tools: readonly {
      readonly type: string;
      readonly function: { readonly name: string };
    }[];
  };
}

export interface FakeOpenAi {
  readonly baseUrl: string;
  readonly requests: readonly SeenRequest[];
  close(): Promise<void>;
}

/** What the fake answers: a message of the assistant, or an HTTP status. */
export type FakeAnswer = Readonly<Record<string, unknown>> | number;

export function callOf(name: string, args = '{"input":"as asked"}'): FakeAnswer {
  const call = { id: 'call_1', type: 'function', function: { name, arguments: args } };
  return { role: 'assistant', content: null, tool_calls: [call] };
}

/** An OpenAI endpoint on loopback that answers as told. */
export async function startFakeOpenAi(
  answer: (request: SeenRequest, index: number) => FakeAnswer,
): Promise<FakeOpenAi> {
  const requests: SeenRequest[] = [];
  const server = createServer((request, response) => {
    void json(request).then((body) => {
      const seen = { headers: request.headers, body: body as SeenRequest['body'] };
      const answered = answer(seen, requests.push(seen) - 1);
      const isError = typeof answered === 'number';
      response.writeHead(isError ? answered : 200, {
        'content-type': 'application/json',
        'retry-after-ms': '1',
      });
      response.end(
        JSON.stringify(
          isError
            ? { error: { message: 'as told', type: 'server_error', code: null, param: null } }
            : {
                id: 'chatcmpl-1',
                object: 'chat.completion',
                created: 1,
                model: seen.body.model,
                choices: [{ index: 0, message: answered, finish_reason: 'stop', logprobs: null }],
                usage: { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 },
              },
        ),
      );
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    baseUrl: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`,
    requests,
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
