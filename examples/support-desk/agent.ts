import { text } from 'node:stream/consumers';
import { OpenAI } from 'openai';
import { findSkill, tools } from './desk';

/** What the support desk needs to know. Nothing here is Ratchet's: any OpenAI-compatible endpoint will do. */
export interface DeskJob {
  readonly baseUrl: string;
  readonly apiKey: string;
  readonly model: string;
  /** The customer's query. */
  readonly input: unknown;
  readonly signal?: AbortSignal;
}

/** The tool that was called, or `reply` when the model answered in words; and what came of it. */
export interface DeskResult {
  readonly action: string;
  readonly done: string;
  readonly [key: string]: string; // plain JSON
}

const SYSTEM_PROMPT =
  'You are the front desk of a customer service. Call the one tool that handles the request; if none does, call escalate_to_human.';

/**
 * Serves one customer: offers the model every tool, does what it calls for, and returns what was done.
 *
 * @throws for a query that is not `{"query": "…"}`, and whatever the client throws when the model cannot be reached.
 */
export async function run(job: DeskJob): Promise<DeskResult> {
  const query = queryOf(job.input);
  const client = new OpenAI({ baseURL: job.baseUrl, apiKey: job.apiKey, maxRetries: 2 });
  const completion = await client.chat.completions.create(
    {
      model: job.model,
      messages: [
        { role: 'system', content: SYSTEM_PROMPT },
        { role: 'user', content: query },
      ],
      tools,
    },
    job.signal === undefined ? {} : { signal: job.signal },
  );
  const message = completion.choices[0]?.message;
  const call = message?.tool_calls?.[0];
  if (call?.type !== 'function') return { action: 'reply', done: message?.content ?? '' };
  const skill = findSkill(call.function.name);
  if (skill === undefined) {
    throw new Error(`the model called a tool that it was not offered: ${call.function.name}`);
  }
  return { action: skill.name, done: skill.handle(inputOf(call.function.arguments) ?? query) };
}

function queryOf(input: unknown): string {
  const query =
    typeof input === 'object' && input !== null && 'query' in input ? input.query : undefined;
  if (typeof query !== 'string') {
    throw new Error(
      `the input of the support desk: expected {"query": "…"}, got ${JSON.stringify(input)}`,
    );
  }
  return query;
}

/** The argument `input` of a call. Models make mistakes in their arguments; then the customer's own words have to do. */
function inputOf(args: string): string | null {
  try {
    const parsed: unknown = JSON.parse(args);
    const isObject = typeof parsed === 'object' && parsed !== null && 'input' in parsed;
    return isObject && typeof parsed.input === 'string' ? parsed.input : null;
  } catch {
    return null; // not JSON: see above
  }
}

/** As a program: OPENAI_BASE_URL and OPENAI_API_KEY in the environment, `{input, model}` on stdin, the result on stdout. */
async function main(): Promise<void> {
  const { OPENAI_BASE_URL: baseUrl = 'https://api.openai.com/v1', OPENAI_API_KEY: apiKey = '' } =
    process.env;
  const { input, model } = JSON.parse(await text(process.stdin)) as Pick<
    DeskJob,
    'input' | 'model'
  >;
  process.stdout.write(`${JSON.stringify(await run({ baseUrl, apiKey, model, input }))}\n`);
}

if (require.main === module) {
  main().catch((error: unknown) => {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
    process.exitCode = 1;
  });
}
