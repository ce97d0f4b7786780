import { isPlain } from './answer-headers';
import type { AnswerReader, Protocol, ProtocolCall } from '../protocols/protocol';
import { readAnswer } from './read-answer';
import type { ModelTarget } from './model-table';
import { requestHeaders } from './request-headers';
import type { Failure } from './retry-rules';
import { retryAfterMs, retryRule } from './retry-rules';
import type { UpstreamResponse } from './upstream';
import { UpstreamError } from './upstream';
import type { Upstreams } from './upstreams';

interface Head {
  readonly target: ModelTarget;
  readonly response: Omit<UpstreamResponse, 'body'>;
}

/**
 * What an upstream said.
 *
 * - `whole`: `text` is for the client, who has seen nothing yet.
 * - `stream`: its first bytes are here. Reading `body` reports how it went; it throws {UpstreamError}.
 * - `refused`: an answer that is not a success, with its body.
 */
export type AskedUpstream =
  | (Head & { readonly kind: 'whole'; readonly reader: AnswerReader; readonly text: string })
  | (Head & {
      readonly kind: 'stream';
      readonly reader: AnswerReader;
      readonly body: AsyncIterable<Uint8Array>;
    })
  | (Head & { readonly kind: 'refused'; readonly text: string });

/** How one request to one upstream went, as far as it can still be repeated. */
export type Attempt =
  | { readonly kind: 'answered'; readonly asked: AskedUpstream }
  | { readonly kind: 'refused'; readonly failure: Failure; readonly asked: AskedUpstream }
  | { readonly kind: 'failed'; readonly failure: Failure; readonly error: UpstreamError };

export interface AttemptOptions {
  /** A header of the agent's request. */
  readonly header: (name: string) => string | undefined;
  /** What the upstream is told besides. @default nothing */
  readonly more?: Readonly<Record<string, string>> | undefined;
  /** Aborts when the client has gone. */
  readonly signal: AbortSignal;
  /** Called when the answer is over, however. */
  readonly over: () => void;
}

/**
 * Sends a call to an upstream that was admitted (upstream-health.ts), and reports how it went. Resolves when an answer is whole or, where it
 * is a stream, when its first bytes are here: nothing of it has reached the client.
 *
 * @throws what is nobody's failure: the client has gone.
 */
export async function attempt(
  upstreams: Upstreams,
  protocol: Protocol,
  call: ProtocolCall,
  target: ModelTarget,
  { body, reader }: { readonly body: string; readonly reader: AnswerReader },
  { header, more, signal, over }: AttemptOptions,
): Promise<Attempt> {
  const { transport, health, retries, clock } = upstreams;
  const { upstream } = target;
  let isStreaming = false;
  try {
    const response = await transport.send(upstream, {
      ...{ path: protocol.path, body, signal },
      headers: { ...more, ...requestHeaders(protocol, upstream, header) },
    });
    const head = { target, response };
    if (response.status >= 300) {
      const text = await readAnswer(upstream, response);
      const { status } = response;
      const failure: Failure = {
        ...{ kind: 'status', status },
        retryAfterMs: retryAfterMs(response.headers, clock.now()),
      };
      health.failed(upstream.name, failure, retryRule(failure, retries.slow).isUnhealthy);
      return { kind: 'refused', failure, asked: { ...head, kind: 'refused', text } };
    }
    if (call.isStream && contentType(response).startsWith('text/event-stream')) {
      const pieces = response.body[Symbol.asyncIterator]();
      const first = await pieces.next();
      health.report(upstream.name, 'began');
      isStreaming = true;
      // Where nobody begins to read the stream, its client has gone.
      signal.addEventListener('abort', over, { once: true });
      const stream = watched(upstreams, target, call, reader, first, pieces, { signal, over });
      return { kind: 'answered', asked: { ...head, kind: 'stream', reader, body: stream } };
    }
    const text = reader.whole(await readAnswer(upstream, response));
    finished(upstreams, target, call, reader);
    return { kind: 'answered', asked: { ...head, kind: 'whole', reader, text } };
  } catch (error) {
    if (signal.aborted || !(error instanceof UpstreamError)) {
      health.report(upstream.name, 'abandoned');
      throw error;
    }
    const failure: Failure = { kind: 'fault', fault: error.fault };
    health.failed(upstream.name, failure, retryRule(failure, retries.slow).isUnhealthy);
    return { kind: 'failed', failure, error };
  } finally {
    if (!isStreaming) over();
  }
}

export function contentType({ headers }: Pick<UpstreamResponse, 'headers'>): string {
  const type = headers['content-type'];
  return isPlain(type) ? type : 'application/json';
}

/** The rest of a stream; says how it ended to those who watch over the upstream. */
async function* watched(
  upstreams: Upstreams,
  target: ModelTarget,
  call: ProtocolCall,
  reader: AnswerReader,
  first: IteratorResult<Uint8Array>,
  pieces: AsyncIterator<Uint8Array>,
  { signal, over }: Pick<AttemptOptions, 'signal' | 'over'>,
): AsyncGenerator<Uint8Array> {
  const { health } = upstreams;
  // Where whoever reads stops before the end, it could not make sense of what came.
  let fault: UpstreamError['fault'] = 'garbage';
  try {
    for (let next = first; next.done !== true; next = await pieces.next()) yield next.value;
    fault = 'cut';
  } catch (error) {
    fault = error instanceof UpstreamError ? error.fault : 'cut';
    throw error;
  } finally {
    const { name } = target.upstream;
    if (reader.answer() !== null || reader.hasFailed()) finished(upstreams, target, call, reader);
    else if (signal.aborted) health.report(name, 'abandoned');
    else health.failed(name, { kind: 'fault', fault }, true);
    over();
    signal.removeEventListener('abort', over);
    await pieces.return?.();
  }
}

/** An answer is over: its upstream is well, and calls that go on from it find it there. */
function finished(
  { health, holders }: Upstreams,
  { upstream }: ModelTarget,
  { conversationId }: ProtocolCall,
  reader: AnswerReader,
): void {
  if (reader.hasFailed()) return health.failed(upstream.name, { kind: 'said' }, false);
  health.report(upstream.name, 'finished');
  const { responseId = null, itemIds = [] } = reader.answer() ?? {};
  if (responseId !== null) holders.set(responseId, upstream.name);
  for (const id of itemIds) holders.set(id, upstream.name);
  if (conversationId !== null) holders.set(conversationId, upstream.name);
}
