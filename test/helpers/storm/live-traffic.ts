import { setTimeout as delay } from 'node:timers/promises';
import { OpenAI } from 'openai';
import { tools } from '../../../examples/support-desk/desk';

/** What a client of the gateway has finished reading, and was not told that it went unrecorded. */
export interface AnsweredCall {
  readonly session: string;
  readonly id: string;
}

export interface LiveTraffic {
  /** Ends it after the calls under way. */
  stop(): Promise<readonly AnsweredCall[]>;
  /** Calls that failed: the gateway was down, or refused. */
  failures(): number;
}

const CLIENTS = 3;
const CALLS_PER_SESSION = 4;
const PAUSE_MS = 150;

/** Agents in production: unmodified OpenAI clients that go on asking, whatever dies, and know what they were answered. */
export function startLiveTraffic({
  baseUrl,
  apiKey,
  model,
}: {
  readonly baseUrl: string;
  readonly apiKey: string;
  readonly model: () => string;
}): LiveTraffic {
  const answered: AnsweredCall[] = [];
  let isStopping = false;
  let failures = 0;
  const client = new OpenAI({ baseURL: baseUrl, apiKey, maxRetries: 0, timeout: 10_000 });

  const talk = async (who: number): Promise<void> => {
    for (let call = 0; !isStopping; call++) {
      const session = `client-${who}-${Math.floor(call / CALLS_PER_SESSION)}`;
      try {
        const { data, response } = await client.chat.completions
          .create(
            {
              model: model(),
              messages: [{ role: 'user', content: `what is the weather in town ${call}` }],
              tools,
            },
            { headers: { 'x-ratchet-session': session } },
          )
          .withResponse();
        // A call that fails open says so; it is an answer, but not a recorded one.
        if (response.headers.get('x-ratchet-recorded') !== 'false') {
          answered.push({ session, id: data.id });
        }
      } catch {
        failures += 1; // no answer was read: nothing was promised
      }
      await delay(PAUSE_MS);
    }
  };
  const talks = Array.from({ length: CLIENTS }, (_, who) => talk(who));
  return {
    async stop() {
      isStopping = true;
      await Promise.all(talks);
      return answered;
    },
    failures: () => failures,
  };
}
