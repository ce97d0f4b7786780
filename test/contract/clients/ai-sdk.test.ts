import { createOpenAI } from '@ai-sdk/openai';
import { APICallError, generateText, stepCountIs, streamText, tool, type LanguageModel } from 'ai';
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

type Model = (access: ClientAccess, name: string) => LanguageModel;

const provider = ({ baseUrl: baseURL, apiKey }: ClientAccess) => createOpenAI({ baseURL, apiKey });

const inputSchema = z.object({ city: z.string() });
const tools = {
  get_weather: tool({ inputSchema, execute: async (input) => getWeather(input) }),
  get_time: tool({ inputSchema, execute: async (input) => getTime(input) }),
};

function clientOf(model: Model): Client {
  const stopWhen = stepCountIs(5);
  const options = { prompt: QUESTION, maxRetries: 0 };
  const withTools = { prompt: TOOL_QUESTION, maxRetries: 0, tools, stopWhen };
  return {
    plain: async (access) =>
      (await generateText({ ...options, model: model(access, 'gpt-4o') })).text,
    async stream(access) {
      const pieces: string[] = [];
      const { textStream } = streamText({ ...options, model: model(access, 'gpt-4o') });
      for await (const piece of textStream) pieces.push(piece);
      return pieces;
    },
    tools: async (access) =>
      (await generateText({ ...withTools, model: model(access, 'gpt-4o') })).text,
    toolsInStream: async (access) =>
      await streamText({ ...withTools, model: model(access, 'gpt-4o') }).text,
    refused: (access) =>
      thrownBy(() => generateText({ ...options, model: model(access, 'limited') })),
  };
}

const thrown = { constructor: APICallError, statusCode: 429 };
const chat: Model = (access, name) => provider(access).chat(name);
const responses: Model = (access, name) => provider(access)(name); // what it does unless told otherwise
clientContract('ai with @ai-sdk/openai, chat completions', clientOf(chat), thrown);
clientContract('ai with @ai-sdk/openai, Responses', clientOf(responses), thrown);
