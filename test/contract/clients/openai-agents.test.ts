import { Agent, OpenAIProvider, Runner, setTracingDisabled, tool } from '@openai/agents';
import OpenAI from 'openai';
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

setTracingDisabled(true); // it would go to OpenAI

const parameters = z.object({ city: z.string() });
const tools = [
  tool({ name: 'get_weather', description: '', parameters, execute: async (at) => getWeather(at) }),
  tool({ name: 'get_time', description: '', parameters, execute: async (at) => getTime(at) }),
];

function clientOf(useResponses: boolean): Client {
  const runner = ({ baseUrl: baseURL, apiKey }: ClientAccess): Runner => {
    const openAIClient = new OpenAI({ baseURL, apiKey, maxRetries: 0 });
    return new Runner({ modelProvider: new OpenAIProvider({ openAIClient, useResponses }) });
  };
  const agent = (model = 'gpt-4o'): Agent => new Agent({ name: 'desk', model });
  const withTools = (): Agent => new Agent({ name: 'desk', model: 'gpt-4o', tools });
  const streamed = async (access: ClientAccess, from: Agent, question: string) => {
    const pieces: string[] = [];
    const result = await runner(access).run(from, question, { stream: true });
    for await (const piece of result.toTextStream()) pieces.push(piece);
    await result.completed;
    return pieces;
  };
  return {
    plain: async (access) => (await runner(access).run(agent(), QUESTION)).finalOutput ?? '',
    stream: (access) => streamed(access, agent(), QUESTION),
    tools: async (access) =>
      (await runner(access).run(withTools(), TOOL_QUESTION)).finalOutput ?? '',
    toolsInStream: async (access) => (await streamed(access, withTools(), TOOL_QUESTION)).join(''),
    refused: (access) => thrownBy(() => runner(access).run(agent('limited'), QUESTION)),
  };
}

const thrown = { constructor: OpenAI.RateLimitError, status: 429 };
clientContract('@openai/agents, Responses', clientOf(true), thrown);
clientContract('@openai/agents, chat completions', clientOf(false), thrown);
