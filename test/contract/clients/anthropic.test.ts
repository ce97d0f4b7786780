import Anthropic from '@anthropic-ai/sdk';
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

const client = ({ baseUrl, apiKey }: ClientAccess): Anthropic =>
  // It adds /v1 itself.
  new Anthropic({ baseURL: baseUrl.replace(/\/v1$/, ''), apiKey, maxRetries: 0 });

const model = 'claude-sonnet-5';
const options = {
  ...{ model, max_tokens: 100 },
  messages: [{ role: 'user' as const, content: QUESTION }],
};
const CITY = {
  ...{ type: 'object' as const, required: ['city'] },
  properties: { city: { type: 'string' } },
};
const tools = ['get_weather', 'get_time'].map((name) => ({ name, input_schema: CITY }));

type Ask = (messages: Anthropic.MessageParam[]) => Promise<Anthropic.Message>;

async function converse(ask: Ask): Promise<string> {
  const messages: Anthropic.MessageParam[] = [{ role: 'user', content: TOOL_QUESTION }];
  for (;;) {
    const { content, stop_reason: reason } = await ask(messages);
    if (reason !== 'tool_use') return textOf(content);
    messages.push({ role: 'assistant', content });
    const results = content.map((block): Anthropic.ToolResultBlockParam => {
      if (block.type !== 'tool_use') throw new Error('no tool use');
      const run = block.name === 'get_weather' ? getWeather : getTime;
      const result = run(block.input as { city: string });
      return { type: 'tool_result', tool_use_id: block.id, content: result };
    });
    messages.push({ role: 'user', content: results });
  }
}

function textOf(content: readonly Anthropic.ContentBlock[]): string {
  return content.map((block) => (block.type === 'text' ? block.text : '')).join('');
}

const messages: Client = {
  plain: async (access) => textOf((await client(access).messages.create(options)).content),
  async stream(access) {
    const pieces: string[] = [];
    await client(access)
      .messages.stream(options)
      .on('text', (piece) => void pieces.push(piece))
      .finalMessage();
    return pieces;
  },
  tools: (access) =>
    converse((asked) => client(access).messages.create({ ...options, messages: asked, tools })),
  toolsInStream: (access) =>
    converse((asked) =>
      client(access)
        .messages.stream({ ...options, messages: asked, tools })
        .finalMessage(),
    ),
  refused: (access) =>
    thrownBy(() => client(access).messages.create({ ...options, model: 'claude-limited' })),
};

clientContract('@anthropic-ai/sdk', messages, {
  ...{ constructor: Anthropic.RateLimitError, status: 429 },
  error: { type: 'error', error: { type: 'rate_limit_error' } },
});
