import OpenAI from 'openai';
import type { ClientAccess } from '../../helpers/clients/client-gateway';
import {
  clientContract,
  getTime,
  getWeather,
  QUESTION,
  thrownBy,
  TOOL_QUESTION,
  type Client,
} from './client.contract';

const client = ({ baseUrl: baseURL, apiKey }: ClientAccess): OpenAI =>
  new OpenAI({ baseURL, apiKey, maxRetries: 0 });

const TOOLS = Object.entries({ get_weather: getWeather, get_time: getTime });
const run = (name: string, args: string): string =>
  (name === 'get_weather' ? getWeather : getTime)(JSON.parse(args) as { city: string });

const CITY = { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] };
const messages: OpenAI.Chat.ChatCompletionMessageParam[] = [{ role: 'user', content: QUESTION }];
const tools = TOOLS.map(([name]) => ({
  ...{ type: 'function' as const, function: { name, parameters: CITY } },
}));

async function converse(
  ask: (messages: OpenAI.Chat.ChatCompletionMessageParam[]) => Promise<OpenAI.ChatCompletion>,
): Promise<string> {
  const asked: OpenAI.Chat.ChatCompletionMessageParam[] = [
    { role: 'user', content: TOOL_QUESTION },
  ];
  for (;;) {
    const { choices } = await ask(asked);
    const message = choices[0]?.message;
    if (message?.tool_calls === undefined) return message?.content ?? '';
    asked.push(message);
    for (const call of message.tool_calls) {
      if (call.type !== 'function') throw new Error('no function');
      const content = run(call.function.name, call.function.arguments);
      asked.push({ role: 'tool', tool_call_id: call.id, content });
    }
  }
}

const chat: Client = {
  async plain(access) {
    const { choices } = await client(access).chat.completions.create({ model: 'gpt-4o', messages });
    return choices[0]?.message.content ?? '';
  },
  async stream(access) {
    const pieces: string[] = [];
    const options = { model: 'gpt-4o', messages, stream: true as const };
    for await (const { choices } of await client(access).chat.completions.create(options)) {
      // As most code does it, which breaks on a chunk without choices that nobody asked for.
      const [choice] = choices as [OpenAI.ChatCompletionChunk.Choice];
      if (choice.delta.content) pieces.push(choice.delta.content);
    }
    return pieces;
  },
  tools: (access) =>
    converse((asked) =>
      client(access).chat.completions.create({ model: 'gpt-4o', messages: asked, tools }),
    ),
  toolsInStream: (access) =>
    converse((asked) =>
      client(access)
        .chat.completions.stream({ model: 'gpt-4o', messages: asked, tools })
        .finalChatCompletion(),
    ),
  refused: (access) =>
    thrownBy(() => client(access).chat.completions.create({ model: 'limited', messages })),
};

clientContract('openai, chat completions', chat, {
  ...{ constructor: OpenAI.RateLimitError, status: 429, code: 'rate_limit_exceeded' },
});

const flat = tools.map(({ type, function: called }) => ({ type, ...called, strict: false }));

/** @param ask gives the response to this input. */
async function respond(
  ask: (input: OpenAI.Responses.ResponseInput) => Promise<OpenAI.Responses.Response>,
): Promise<string> {
  const input: OpenAI.Responses.ResponseInput = [{ role: 'user', content: TOOL_QUESTION }];
  for (;;) {
    const { output, output_text: text } = await ask(input);
    if (text !== '') return text;
    for (const item of output) {
      if (item.type !== 'function_call') throw new Error('no call');
      input.push(item);
    }
    for (const item of output as OpenAI.Responses.ResponseFunctionToolCall[]) {
      const { name, arguments: args, call_id } = item;
      input.push({ type: 'function_call_output', call_id, output: run(name, args) });
    }
  }
}

const responses: Client = {
  plain: async (access) =>
    (await client(access).responses.create({ model: 'gpt-4o', input: QUESTION })).output_text,
  async stream(access) {
    const pieces: string[] = [];
    const options = { model: 'gpt-4o', input: QUESTION, stream: true as const };
    for await (const event of await client(access).responses.create(options)) {
      if (event.type === 'response.output_text.delta') pieces.push(event.delta);
    }
    return pieces;
  },
  tools: (access) =>
    respond((input) => client(access).responses.create({ model: 'gpt-4o', input, tools: flat })),
  toolsInStream: (access) =>
    respond((input) =>
      client(access).responses.stream({ model: 'gpt-4o', input, tools: flat }).finalResponse(),
    ),
  refused: (access) =>
    thrownBy(() => client(access).responses.create({ model: 'limited', input: QUESTION })),
};

clientContract('openai, Responses', responses, { constructor: OpenAI.RateLimitError, status: 429 });
