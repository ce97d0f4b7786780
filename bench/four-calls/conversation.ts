/** One turn of the customer's: what they say, and the tool that the desk should call. */
export interface Turn {
  readonly query: string;
  readonly tool: string;
}

export const CALLS = 4;

/** What the desk can do: the arms of the policy, and the tools in the body of each call. */
export const SKILLS = [
  ...['balance', 'transfer', 'card_lost', 'card_limit', 'exchange_rate', 'interest_rate'],
  ...['open_account', 'close_account', 'change_address', 'statement', 'fees', 'human'],
] as const;

export const tools = SKILLS.map((name) => ({
  type: 'function' as const,
  function: {
    name,
    description: `Handles what a customer asks about: ${name.replaceAll('_', ' ')}.`,
    parameters: {
      type: 'object',
      properties: {
        input: { type: 'string', description: 'The request in the customer’s words.' },
      },
      required: ['input'],
    },
  },
}));

export const SYSTEM_PROMPT =
  'You are the front desk of a bank. For each request of the customer call the one tool that handles it; if none does, call human.';

const OPENINGS = ['hello, i would like to ask about', 'one more thing, it is about', 'and also'];

/** The n-th customer: four requests, in words of their own. */
export function turnsOf(n: number): Turn[] {
  return Array.from({ length: CALLS }, (_, turn) => {
    const tool = SKILLS[(n * 7 + turn * 5) % SKILLS.length] ?? 'human';
    const opening = OPENINGS[(n + turn) % OPENINGS.length] ?? '';
    return { tool, query: `${opening} my ${tool.replaceAll('_', ' ')}, this is customer ${n}` };
  });
}

interface ToolCall {
  readonly id: string;
  readonly type: 'function';
  readonly function: { readonly name: string; readonly arguments: string };
}

/** A message of the assistant, as far as the desk needs it. */
export interface Reply {
  readonly role: 'assistant';
  readonly content?: string | null;
  readonly tool_calls?: readonly ToolCall[];
}

export type ChatMessage =
  | { readonly role: 'system' | 'user'; readonly content: string }
  | { readonly role: 'tool'; readonly tool_call_id: string; readonly content: string }
  | Reply;

/**
 * Serves a customer with four requests in a row. Each call sends the whole conversation so far: at the last one ten messages
 * and twelve tools.
 *
 * @param complete makes one model call.
 * @returns the tools that were called.
 */
export async function serve(
  queries: readonly string[],
  complete: (messages: readonly ChatMessage[]) => Promise<Reply>,
): Promise<string[]> {
  const messages: ChatMessage[] = [{ role: 'system', content: SYSTEM_PROMPT }];
  const called: string[] = [];
  for (const query of queries) {
    messages.push({ role: 'user', content: query });
    const reply = await complete(messages);
    messages.push(reply);
    const [call] = reply.tool_calls ?? [];
    if (call === undefined) throw new Error('the model called no tool');
    called.push(call.function.name);
    messages.push({ role: 'tool', tool_call_id: call.id, content: `done: ${call.function.name}` });
  }
  return called;
}
