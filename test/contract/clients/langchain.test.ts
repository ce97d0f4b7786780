import {
  AIMessageChunk,
  HumanMessage,
  ToolMessage,
  type BaseMessage,
} from '@langchain/core/messages';
import { tool } from '@langchain/core/tools';
import { createReactAgent } from '@langchain/langgraph/prebuilt';
import { ChatOpenAI } from '@langchain/openai';
import { z } from 'zod';
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

const client = ({ baseUrl: baseURL, apiKey }: ClientAccess, model = 'gpt-4o'): ChatOpenAI =>
  new ChatOpenAI({ model, apiKey, maxRetries: 0, configuration: { baseURL } });

const schema = z.object({ city: z.string() });
const tools = [
  tool(async (input: z.infer<typeof schema>) => getWeather(input), { name: 'get_weather', schema }),
  tool(async (input: z.infer<typeof schema>) => getTime(input), { name: 'get_time', schema }),
];

async function converse(ask: (asked: BaseMessage[]) => Promise<AIMessageChunk>): Promise<string> {
  const asked: BaseMessage[] = [new HumanMessage(TOOL_QUESTION)];
  for (;;) {
    const message = await ask(asked);
    if (!message.tool_calls?.length) return message.text;
    asked.push(message);
    for (const call of message.tool_calls) {
      const run = call.name === 'get_weather' ? getWeather : getTime;
      const content = run(call.args as { city: string });
      asked.push(new ToolMessage({ content, tool_call_id: call.id ?? '' }));
    }
  }
}

async function concatenated(pieces: AsyncIterable<AIMessageChunk>): Promise<AIMessageChunk> {
  let whole = new AIMessageChunk('');
  for await (const piece of pieces) whole = whole.concat(piece);
  return whole;
}

const common: Pick<Client, 'plain' | 'stream' | 'refused'> = {
  plain: async (access) => (await client(access).invoke(QUESTION)).text,
  async stream(access) {
    const pieces: string[] = [];
    for await (const { text } of await client(access).stream(QUESTION)) {
      if (text !== '') pieces.push(text);
    }
    return pieces;
  },
  refused: (access) => thrownBy(() => client(access, 'limited').invoke(QUESTION)),
};
const thrown = { status: 429, code: 'rate_limit_exceeded' };

clientContract(
  '@langchain/openai',
  {
    ...common,
    tools: (access) => converse((asked) => client(access).bindTools(tools).invoke(asked)),
    toolsInStream: (access) =>
      converse(async (asked) => concatenated(await client(access).bindTools(tools).stream(asked))),
  },
  thrown,
);

clientContract(
  '@langchain/langgraph',
  {
    ...common,
    async tools(access) {
      const agent = createReactAgent({ llm: client(access), tools });
      const { messages } = await agent.invoke({ messages: [new HumanMessage(TOOL_QUESTION)] });
      return messages.at(-1)?.text ?? '';
    },
    async toolsInStream(access) {
      const agent = createReactAgent({ llm: client(access), tools });
      const question = { messages: [new HumanMessage(TOOL_QUESTION)] };
      let text = '';
      // As chat windows do it: the model's tokens as they come.
      for await (const [message] of await agent.stream(question, { streamMode: 'messages' })) {
        if (message instanceof AIMessageChunk) text += message.text;
      }
      return text;
    },
  },
  thrown,
);
