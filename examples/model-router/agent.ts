import { OpenAI } from 'openai';
import { findSkill, tools } from '../support-desk/desk';

/** What the desk needs to know. Nothing here is Ratchet's: any OpenAI-compatible endpoint will do. */
export interface DeskJob {
  readonly baseUrl: string;
  readonly apiKey: string;
  readonly model: string;
  /** The customer's query. */
  readonly input: unknown;
  readonly signal?: AbortSignal;
}

/** The tool that was called, or `reply`; and the id of the answer, under which feedback on it is given. */
export interface DeskResult {
  readonly action: string;
  readonly answer: string;
  readonly [key: string]: string; // plain JSON
}

/**
 * Serves one customer: offers the model every tool and does what it calls for.
 *
 * @throws for an input that is not `{"query": "…"}`, and whatever the client throws when the model cannot be reached.
 */
export async function run({ baseUrl, apiKey, model, input, signal }: DeskJob): Promise<DeskResult> {
  const client = new OpenAI({ baseURL: baseUrl, apiKey, maxRetries: 2 });
  const completion = await client.chat.completions.create(
    { model, messages: [{ role: 'user', content: queryOf(input) }], tools },
    signal === undefined ? {} : { signal },
  );
  const call = completion.choices[0]?.message.tool_calls?.[0];
  const skill = call?.type === 'function' ? findSkill(call.function.name) : undefined;
  return { action: skill?.name ?? 'reply', answer: completion.id };
}

function queryOf(input: unknown): string {
  const query =
    typeof input === 'object' && input !== null && 'query' in input ? input.query : undefined;
  if (typeof query === 'string') return query;
  throw new Error(`the input of the desk: expected {"query": "…"}, got ${JSON.stringify(input)}`);
}
