import { OpenAI } from 'openai';
import { Agent, request } from 'undici';
import type { AgentInvocation, ModuleAgent } from '../../src/ports/agent-runner';
import type { ChatMessage, Reply } from './conversation';
import { serve, tools } from './conversation';

/** Connections are kept: any client of an agent that makes more than one call does so. */
const dispatcher = new Agent();

/** An agent on undici, the HTTP client that Node's own fetch is made of, without what makes a fetch of it. */
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

async function post(
  endpoint: URL,
  { apiKey, signal }: Parameters<ModuleAgent>[0],
  body: string,
): Promise<string> {
  const response = await request(endpoint, {
    ...{ dispatcher, method: 'POST', signal, body },
    headers: { authorization: `Bearer ${apiKey}`, 'content-type': 'application/json' },
  });
  const answer = await response.body.text();
  if (response.statusCode !== 200) throw new Error(`HTTP ${response.statusCode}: ${answer}`);
  return answer;
}
