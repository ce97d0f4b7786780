import type { LiveDecision } from '../../../src/trajectories/read-live-decisions';
import {
  startClientGateway,
  type ClientAccess,
  type ClientGateway,
} from '../../helpers/clients/client-gateway';

/** What every client can do, each in its own words. Only the base URL and the key are ours. */
export interface Client {
  /** Asks `QUESTION` of `gpt-4o` (or `claude-sonnet-5`) and gives the text of the answer. */
  plain(access: ClientAccess): Promise<string>;
  /** The same, streamed: the text as it came, piece by piece. */
  stream(access: ClientAccess): Promise<readonly string[]>;
  /** Asks `TOOL_QUESTION` with the tools `get_weather` and `get_time` of one text argument, `city`, lets them run, and gives the last text. */
  tools(access: ClientAccess): Promise<string>;
  /** The same, streamed. */
  toolsInStream(access: ClientAccess): Promise<string>;
  /** Asks the model `limited` (or `claude-limited`), without retries, and gives what is thrown. */
  refused(access: ClientAccess): Promise<unknown>;
}

export const QUESTION = 'good morning';
export const TOOL_QUESTION = 'tell me the weather and the time in Oslo';
export const getWeather = ({ city }: { readonly city: string }): string => `rain in ${city}`;
export const getTime = ({ city }: { readonly city: string }): string => `noon in ${city}`;

const ANSWER = `You said: ${QUESTION} ñ 日本 🚲`;
const TOOL_ANSWER = 'The tools said: rain in Oslo | noon in Oslo ñ 日本 🚲';

/** A message as any client writes it: its text without its form. */
function shown({ role, content, ...rest }: LiveDecision['answer']): unknown {
  const text =
    typeof content === 'string' ? content : content?.map((part) => part['text']).join('');
  const calls = rest.tool_calls?.map(({ function: called }) => [
    called?.name,
    JSON.parse(called?.arguments ?? 'null') as unknown,
  ]);
  return { role, ...(text ? { text } : {}), ...(calls?.length ? { calls } : {}) };
}

const asked = (text: string): object => ({ role: 'user', text });
const answered = (text: string): object => ({ role: 'assistant', text });
const CALLS = {
  role: 'assistant',
  calls: [
    ['get_weather', { city: 'Oslo' }],
    ['get_time', { city: 'Oslo' }],
  ],
};
const RESULTS = ['rain in Oslo', 'noon in Oslo'].map((text) => ({ role: 'tool', text }));

/**
 * @param thrown what `refused` gives: the client's own error for a 429.
 * @param isMissing skips it: the client is not here.
 */
export function clientContract(
  name: string,
  client: Client,
  thrown: object,
  isMissing = false,
): void {
  (isMissing ? describe.skip : describe)(`${name}, unmodified`, () => {
    let gateway: ClientGateway;
    beforeAll(async () => {
      gateway = await startClientGateway();
    });
    afterAll(() => gateway?.close());

    test.each(['plain', 'stream'] as const)('%s: a text, recorded as one decision', async (how) => {
      const said = await client[how](await gateway.access(how));
      expect([said].flat().join('')).toBe(ANSWER);
      if (how === 'stream') expect(said.length).toBeGreaterThan(3);
      const decisions = await gateway.recorded(how, 1);
      expect(decisions.map(({ messages }) => messages.map(shown))).toEqual([[asked(QUESTION)]]);
      expect(decisions.map(({ answer }) => shown(answer))).toEqual([answered(ANSWER)]);
      expect(decisions[0]?.decision).toMatchObject({
        upstream: { name: 'double' },
        usage: { completionTokens: expect.any(Number) as number },
      });
    });

    test.each(['tools', 'toolsInStream'] as const)(
      '%s: two calls at once, their results, and the answer to them',
      async (how) => {
        const agent = how.toLowerCase();
        expect(await client[how](await gateway.access(agent))).toBe(TOOL_ANSWER);
        const decisions = await gateway.recorded(agent, 2);
        expect(decisions.map(({ messages }) => messages.map(shown))).toEqual([
          [asked(TOOL_QUESTION)],
          [asked(TOOL_QUESTION), CALLS, ...RESULTS],
        ]);
        expect(decisions.map(({ answer }) => shown(answer))).toEqual([
          CALLS,
          answered(TOOL_ANSWER),
        ]);
        const names = decisions[0]?.tools?.map((tool) => tool.function?.name);
        expect(names).toEqual(['get_weather', 'get_time']);
      },
    );

    test('an error of the upstream arrives as the client’s own, and nothing is recorded', async () => {
      const error = await client.refused(await gateway.access('refused'));
      expect(error).toMatchObject(thrown);
      // What was recorded later is there, so what was not there before will not come.
      await client.plain(await gateway.access('after'));
      await gateway.recorded('after', 1);
      expect(await gateway.recorded('refused', 0)).toEqual([]);
    });
  });
}

/** What a call throws. */
export async function thrownBy(call: () => Promise<unknown>): Promise<unknown> {
  try {
    return { returned: await call() };
  } catch (error) {
    return error;
  }
}
