import { validateHeaderName, validateHeaderValue } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import { Agent, type Dispatcher, request } from 'undici';
import { describeError, InvalidInputError } from '../../errors';
import type {
  AgentExit,
  AgentInvocation,
  AgentRunner,
  AgentSpec,
  RunOptions,
} from '../../ports/agent-runner';
import { createBackPressure, type Turn } from '../../rollouts/back-pressure';
import { crashed, MAX_RESULT_BYTES, returned } from './agent-exit';
import { parseRetryAfter } from './retry-after';
import { createStopWatch } from './stop-watch';
import { createTrackedRunner } from './tracked-runner';
import { UNREACHABLE } from '../unreachable';

type HttpSpec = Extract<AgentSpec, { kind: 'http' }>;

export interface HttpRunnerOptions {
  /** Between two questions after work that the service has taken on, where it does not say, in milliseconds. */
  readonly pollMs?: number;
  /** The first pause when the service pushes back without saying for how long, in milliseconds. */
  readonly backoffMs?: number;
}

const DEFAULT_CONCURRENCY = 128;
const CONNECT_TIMEOUT_MS = 10_000;
/** How long the service may take to hear that work it has taken on is not wanted any more, in milliseconds. */
const DELETE_TIMEOUT_MS = 2_000;
/** What may stand around a result in an answer's body. */
const ENVELOPE_BYTES = 1_024;
/** How much of a refusal goes into a crash's detail, in characters. */
const DETAIL_CHARS = 2_000;
/** A part of a header's value at least this long is taken for a secret, in characters. */
const SECRET_CHARS = 6;

/** What the other side says when it, or what stands before it, takes no more: ask again later. */
const PUSHING_BACK: ReadonlySet<number> = new Set([429, 503]);
/** What a proxy says when the service behind it is not there, or did not answer the proxy in time. */
const BEHIND_PROXY: ReadonlySet<number> = new Set([502, 504]);
/** Takes the secrets out of a text. */
type Hide = (text: string) => string;

/** An answer, its body read. */
interface Answer {
  readonly status: number;
  readonly location: string | undefined;
  readonly retryAfterMs: number | null;
  /** Null where it is longer than any answer may be. */
  readonly body: Buffer | null;
}

/**
 * Runs an agent that is a service, as docs/agents-http.md describes: `{input, model, baseUrl, apiKey, idempotencyKey}` is
 * posted as JSON, and `{result}` comes back, at once or from the `Location` of a 202 that is asked after until it is there.
 *
 * - 429 and 503 are back-pressure: after `Retry-After`, or a pause that doubles, the same is asked again under the same
 *   idempotency key, for as long as the attempt's deadline allows. All attempts of a runner share one view of what the service
 *   takes (see createBackPressure), so that it is asked less, not only later.
 * - At the deadline, and when cancelled, the request's connection is closed; work that was taken on with a 202 is deleted.
 * - Redirects are not followed: the headers, which may be credentials, go to the origin that was registered and no other.
 *
 * @throws {InvalidInputError} if the url or a header is not one.
 */
export function createHttpRunner(
  spec: HttpSpec,
  { pollMs = 1_000, backoffMs = 500 }: HttpRunnerOptions = {},
): AgentRunner {
  const endpoint = parseEndpoint(spec.url);
  const headers = parseHeaders(spec.headers ?? {});
  const concurrency = spec.maxConcurrency ?? DEFAULT_CONCURRENCY;
  const pressure = createBackPressure({ most: concurrency, baseMs: backoffMs });
  const dispatcher = new Agent({
    // One connection per attempt, since nothing may queue behind an answer that takes minutes, and a few to poll and delete.
    connections: concurrency + 8,
    pipelining: 1,
    connect: { timeout: CONNECT_TIMEOUT_MS },
    // An agent thinks for as long as its attempt's deadline allows; undici's own limits of 300 s would end it.
    headersTimeout: 0,
    bodyTimeout: 0,
  });
  const specSecrets = [...Object.values(headers), ...endpoint.searchParams.values()];

  async function execute(
    invocation: AgentInvocation,
    { timeoutMs, onWaiting }: RunOptions,
    signals: readonly AbortSignal[],
  ): Promise<AgentExit> {
    const watch = createStopWatch(timeoutMs, signals);
    const stop = new AbortController();
    let stopped: AgentExit | null = null;
    void watch.stopped.then((exit) => {
      stopped = exit;
      stop.abort(new Error(`the attempt was stopped: ${exit.kind}`));
    });
    const hide = redactor([invocation.apiKey, ...specSecrets]);
    const attempt = createAttempt(invocation, stop.signal, hide, onWaiting);
    try {
      const exit = await attempt.run();
      return 'detail' in exit ? { ...exit, detail: hide(exit.detail) } : exit;
    } catch (error) {
      // Whatever a service does is an exit, never an error of the runner.
      const exit = stopped as AgentExit | null; // set while we awaited
      await attempt.abandon();
      if (exit === null) return crashed(hide(describeError(error)));
      const heldUp = attempt.heldUp();
      return exit.kind === 'timedOut' && heldUp !== null
        ? { kind: 'unavailable', detail: hide(`${heldUp}, until the deadline of ${timeoutMs} ms`) }
        : exit;
    } finally {
      watch.dispose();
    }
  }

  /** One attempt's conversation with the service. */
  function createAttempt(
    invocation: AgentInvocation,
    signal: AbortSignal,
    hide: Hide,
    onWaiting: RunOptions['onWaiting'],
  ): {
    run(): Promise<AgentExit>;
    /** Says that the work is not wanted any more, where the service has taken any on. */
    abandon(): Promise<void>;
    /** What the service said when it was asked last, if that was to ask later; null while it works for us. */
    heldUp(): string | null;
  } {
    const { input, model, baseUrl, apiKey, idempotencyKey } = invocation;
    const sent = { ...headers, accept: 'application/json', 'idempotency-key': idempotencyKey };
    let heldUp: string | null =
      'the service was never asked: as many attempts as it takes at once were before';
    let work: URL | null = null;

    const ask = async (method: 'GET' | 'POST', url: URL): Promise<Answer> => {
      const isPost = method === 'POST';
      const response = await request(url, {
        ...{ method, dispatcher, signal },
        headers: isPost ? { ...sent, 'content-type': 'application/json' } : sent,
        ...(isPost
          ? { body: JSON.stringify({ input, model, baseUrl, apiKey, idempotencyKey }) }
          : {}),
      });
      return readAnswer(response);
    };

    /** Posts until somebody takes it; the turn is then still ours. */
    const post = async (): Promise<{ turn: Turn; answer: Answer } | AgentExit> => {
      for (;;) {
        const turn = await pressure.enter(signal, onWaiting);
        try {
          heldUp = null;
          const answer = await ask('POST', endpoint);
          if (!PUSHING_BACK.has(answer.status)) return { turn, answer };
          heldUp = `the service pushed back with HTTP ${answer.status}${said(answer, hide)}`;
          turn.pushedBack(answer.retryAfterMs ?? undefined);
        } catch (error) {
          turn.leave();
          if (signal.aborted) throw error;
          if (UNREACHABLE.has(codeOf(error) ?? '')) return unreachable(error);
          throw error;
        }
        turn.leave();
      }
    };

    /** Asks after work until it is done. A service that is away for a while may still have it when it is back. */
    const poll = async (url: URL, first: Answer, turn: Turn): Promise<Answer> => {
      let pauseMs = first.retryAfterMs ?? pollMs;
      let pushes = 0;
      for (;;) {
        await delay(pauseMs, undefined, { signal });
        let retryAfterMs: number | null;
        try {
          const answer = await ask('GET', url);
          retryAfterMs = answer.retryAfterMs;
          if (answer.status === 202) {
            if (heldUp !== null) onWaiting?.(false);
            heldUp = null;
            pushes = 0;
            pauseMs = retryAfterMs ?? pollMs;
            continue;
          }
          if (!PUSHING_BACK.has(answer.status) && !BEHIND_PROXY.has(answer.status)) return answer;
          if (heldUp === null) onWaiting?.(true);
          heldUp = `the service pushed back with HTTP ${answer.status}${said(answer, hide)} when it was asked after its work`;
          turn.pushedBack(retryAfterMs ?? undefined);
        } catch (error) {
          if (signal.aborted) throw error;
          if (heldUp === null) onWaiting?.(true);
          heldUp = `the service could not be asked after its work: ${describeError(error) || codeOf(error)}`;
          retryAfterMs = null;
        }
        pauseMs = retryAfterMs ?? Math.min(30_000, backoffMs * 2 ** Math.min(pushes, 10));
        pushes += 1;
      }
    };

    return {
      heldUp: () => heldUp,
      async run() {
        const posted = await post();
        if ('kind' in posted) return posted;
        const { turn } = posted;
        let { answer } = posted;
        try {
          if (answer.status === 202) {
            work = locate(answer.location, endpoint);
            if (work === null) return badLocation(answer.location);
            answer = await poll(work, answer, turn);
            work = null; // it is done: nothing is left to delete
          }
          if (BEHIND_PROXY.has(answer.status)) {
            return {
              kind: 'unavailable',
              detail: `the service did not answer the proxy before it: HTTP ${answer.status}${said(answer, hide)}; long work is better answered with 202 and a Location`,
            };
          }
          turn.served();
          return toExit(answer, hide);
        } finally {
          if (heldUp !== null) onWaiting?.(false);
          turn.leave();
        }
      },
      async abandon() {
        if (work === null) return;
        try {
          const { body } = await request(work, {
            ...{ method: 'DELETE', dispatcher, headers: sent },
            signal: AbortSignal.timeout(DELETE_TIMEOUT_MS),
          });
          await body.dump();
        } catch {
          // A courtesy: a service that cannot be told works for nothing, and nobody asks for what comes of it.
        }
      },
    };
  }

  const runner = createTrackedRunner(execute);
  let closed: Promise<void> | undefined;
  return {
    run: (invocation, options) => runner.run(invocation, options),
    close: () => (closed ??= runner.close().then(() => dispatcher.close())),
  };
}

function parseEndpoint(text: string): URL {
  let url: URL;
  try {
    url = new URL(text);
  } catch {
    // Neither the text nor the parser's error, which quotes it, is shown: it may hold credentials.
    throw new InvalidInputError('the url of an agent is not one: expected http://… or https://…');
  }
  if (!['http:', 'https:'].includes(url.protocol)) {
    throw new InvalidInputError('the url of an agent: expected http or https', {
      context: { got: url.protocol },
    });
  }
  if (url.username !== '' || url.password !== '') {
    throw new InvalidInputError(
      'the url of an agent holds credentials: put them into its headers, e.g. an Authorization',
      { context: { host: url.host } },
    );
  }
  return url;
}

function parseHeaders(headers: Readonly<Record<string, string>>): Record<string, string> {
  for (const [header, value] of Object.entries(headers)) {
    try {
      validateHeaderName(header);
      validateHeaderValue(header, value);
    } catch {
      throw new InvalidInputError(
        'a header of an agent is not one: expected a name, and a value of one line of Latin text',
        { context: { header } },
      );
    }
  }
  return { ...headers };
}

async function readAnswer({ statusCode, headers, body }: Dispatcher.ResponseData): Promise<Answer> {
  const chunks: Buffer[] = [];
  let sizeBytes = 0;
  for await (const chunk of body as AsyncIterable<Buffer>) {
    sizeBytes += chunk.length;
    if (sizeBytes > MAX_RESULT_BYTES + ENVELOPE_BYTES) break; // which closes the connection
    chunks.push(chunk);
  }
  const one = (value: string | string[] | undefined): string | undefined =>
    Array.isArray(value) ? value[0] : value;
  return {
    status: statusCode,
    location: one(headers['location']),
    retryAfterMs: parseRetryAfter(one(headers['retry-after']), Date.now()),
    body: sizeBytes > MAX_RESULT_BYTES + ENVELOPE_BYTES ? null : Buffer.concat(chunks),
  };
}

function toExit(answer: Answer, hide: Hide): AgentExit {
  const { status, body } = answer;
  if (status < 200 || status > 299) {
    return crashed(
      status >= 300 && status <= 399
        ? `the agent answered HTTP ${status}: redirects are not followed, register the url that it leads to`
        : `the agent answered HTTP ${status}${said(answer, hide)}`,
    );
  }
  if (body === null) {
    return crashed(
      `the agent's result is too long: expected at most ${MAX_RESULT_BYTES} bytes of JSON`,
    );
  }
  let value: unknown;
  try {
    value = JSON.parse(body.toString('utf8'));
  } catch {
    // What an agent answers is an exit, never an error of the runner; the text says more than the parser.
    return crashed(
      `the agent's answer is not JSON: expected {"result": …}, got ${JSON.stringify(hide(body.toString('utf8')).slice(0, 200))}`,
    );
  }
  if (typeof value !== 'object' || value === null || !Object.hasOwn(value, 'result')) {
    return crashed(
      `the agent's answer holds no result: expected {"result": …}, got ${hide(JSON.stringify(value)).slice(0, 200)}`,
    );
  }
  return returned((value as { result: unknown }).result);
}

/** Where the work can be asked after; null for nowhere, or another origin than the one that was registered. */
function locate(location: string | undefined, endpoint: URL): URL | null {
  if (location === undefined || !URL.canParse(location, endpoint.href)) return null;
  const url = new URL(location, endpoint);
  return url.origin === endpoint.origin ? url : null;
}

function badLocation(location: string | undefined): AgentExit {
  return crashed(
    `the agent answered HTTP 202 without a place to ask after its work: expected a Location of its own origin, got ${location ?? 'none'}`,
  );
}

/** What a refusal's body says, for people. */
function said({ body }: Answer, hide: Hide): string {
  const text = hide(body?.toString('utf8').trim() ?? ''); // before it is cut: half a secret is one
  return text === '' ? '' : `: ${text.slice(0, DETAIL_CHARS)}`;
}

/** What the socket's error is called; null for one of another kind. */
function codeOf(error: unknown): string | null {
  const isCoded = typeof error === 'object' && error !== null && 'code' in error;
  return isCoded && typeof error.code === 'string' ? error.code : null;
}

function unreachable(error: unknown): AgentExit {
  // Where a name has several addresses, the error of all of them together has a code and no message.
  const why = describeError(error) || codeOf(error);
  return {
    kind: 'unavailable',
    detail: `the agent's service could not be reached: ${why}; check that it runs and that its url is right`,
  };
}

/** Replaces secrets, whole and in their parts: of `Bearer abc…` a service may quote no more than `abc…`. */
function redactor(secrets: readonly string[]): Hide {
  const parts = secrets
    .flatMap((secret) => [secret, ...secret.split(/[\s,;]+/)])
    .filter((part) => part.length >= SECRET_CHARS)
    .sort((a, b) => b.length - a.length);
  return (text) => parts.reduce((rest, part) => rest.replaceAll(part, '[secret]'), text);
}
