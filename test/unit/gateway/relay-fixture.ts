import type { GatewayDeps } from '../../../src/gateway/app';
import type { Decision } from '../../../src/schemas/decision';
import type { Message } from '../../../src/schemas/message';
import { createFakeUpstreams, type FakeUpstreams } from '../../fakes/fake-upstreams';
import type { SessionRecording } from '../../../src/gateway/recording/batch-recorder';
import { createFixture, type Fixture } from './gateway-fixture';

export const SESSION = 'run-1/0/task-1/0';
/** The key of the upstream `main`. */
export const UPSTREAM_KEY = 'sk-of-the-upstream';

/** A gateway in front of scripted upstreams, as one rollout's agent sees it. */
export interface Relay extends Fixture {
  readonly upstreams: FakeUpstreams;
  ask(body: object | string, headers?: Record<string, string>): Promise<Response>;
  /** The answer's text as it is. */
  text(body: object | string, headers?: Record<string, string>): Promise<string>;
  /** What the upstream was sent last. */
  sent(): { readonly [name: string]: unknown };
  /** What was recorded, with the messages of its one decision. */
  recorded(): SessionRecording & {
    readonly decision: Decision;
    readonly context: readonly (Message | undefined)[];
    readonly output: Message | undefined;
  };
}

/** @param path where the agent's calls go. */
export async function openRelay(
  path: string,
  config: Parameters<typeof createFakeUpstreams>[0],
  overrides: Partial<GatewayDeps> = {},
): Promise<Relay> {
  const upstreams = createFakeUpstreams(config, { main: UPSTREAM_KEY });
  const gateway = await createFixture({ upstreams, ...overrides });
  const token = gateway.session();
  const ask = async (
    body: object | string,
    headers: Record<string, string> = {},
  ): Promise<Response> =>
    gateway.app.request(path, {
      method: 'POST',
      headers: { authorization: `Bearer ${token}`, ...headers },
      body: typeof body === 'string' ? body : JSON.stringify(body),
    });
  return {
    ...{ ...gateway, upstreams, ask },
    text: async (body, headers) => (await ask(body, headers)).text(),
    sent: () => JSON.parse(upstreams.requests.at(-1)?.body ?? '') as Record<string, unknown>,
    recorded() {
      const recording = gateway.recorder.take(SESSION);
      const [decision] = recording.decisions;
      if (decision === undefined) throw new Error('no decision was recorded');
      return {
        ...{ ...recording, decision },
        context: decision.context.map((id) => recording.messages.get(id)),
        output: recording.messages.get(decision.output),
      };
    },
  };
}

/** An event of a stream. */
export function event(type: string, rest: object = {}): string {
  return `event: ${type}\ndata: ${JSON.stringify({ type, ...rest })}\n\n`;
}
