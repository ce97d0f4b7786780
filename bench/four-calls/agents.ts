import { Agent, request } from 'node:http';
import { OpenAI } from 'openai';
import type { AgentInvocation, ModuleAgent } from '../../src/ports/agent-runner';
import type { ChatMessage, Reply } from './conversation';
import { serve, tools } from './conversation';

/** Connections are kept: any client of an agent that makes more than one call does so. */
const keptAlive = new Agent({ keepAlive: true });

/** An agent on nothing but Node's own HTTP client. */
export const leanAgent: ModuleAgent = async (invocation) => {
  const { model } = invocation;
  const endpoint = new URL(`${invocation.baseUrl}/chat/completions`);
  return serve(queriesOf(invocation), async (messages) => {
    const answer = await post(endpoint, invocation, JSON.stringify({ model, messages, tools }));
    const { choices } = JSON.parse(answer) as { choices: readonly { message: Reply }[] };
    return replyOf(choices[0]?.message);
  });
};

/** The same on the official client of OpenAI. */
export const openAiAgent: ModuleAgent = async (invocation) => {
  const { baseUrl, apiKey, model, signal } = invocation;
  const client = new OpenAI({ baseURL: baseUrl, apiKey });
  return serve(queriesOf(invocation), async (messages) => {
    const completion = await client.chat.completions.create(
      { model, messages: messages as OpenAI.ChatCompletionMessageParam[], tools },
      { signal },
    );
    return replyOf(completion.choices[0]?.message as Reply | undefined);
  });
};

function queriesOf({ input }: AgentInvocation): readonly string[] {
  return (input as { readonly queries: readonly string[] }).queries;
}

/** What goes back into the conversation. */
function replyOf(message: Reply | undefined): ChatMessage & Reply {
  const { content = null, tool_calls = [] } = message ?? {};
  return { role: 'assistant', content, tool_calls };
}

function post(
  { hostname, port, pathname: path }: URL,
  { apiKey, signal }: Parameters<ModuleAgent>[0],
  body: string,
): Promise<string> {
  return new Promise((resolve, reject) => {
    const sent = request({
      ...{ method: 'POST', hostname, port, path, agent: keptAlive, signal },
      headers: {
        authorization: `Bearer ${apiKey}`,
        'content-type': 'application/json',
        'content-length': Buffer.byteLength(body),
      },
    });
    sent.on('error', reject).on('response', (response) => {
      let answer = '';
      response.setEncoding('utf8').on('data', (chunk: string) => (answer += chunk));
      response.on('error', reject).on('end', () => {
        if (response.statusCode === 200) resolve(answer);
        else reject(new Error(`HTTP ${response.statusCode}: ${answer}`));
      });
    });
    sent.end(body);
  });
}
