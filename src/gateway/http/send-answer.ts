import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response';
import type { ContentfulStatusCode } from 'hono/utils/http-status';
import type { GatewayContext } from './gateway-context';
import type { Answer, StreamAnswer } from './answer';

type Headers = Readonly<Record<string, string>>;

/**
 * Sends an answer. Behind a server it goes out by itself: a web Response on the way would cost as much as the rest of a call.
 *
 * @param onBroken told of what a stream threw; its connection is cut then.
 */
export function sendAnswer(
  c: GatewayContext,
  headers: Headers,
  answer: Answer,
  onBroken: (error: unknown) => void,
): Response {
  const { status = 200 } = answer;
  const outgoing = c.env?.outgoing;
  if ('events' in answer) {
    const sent = { 'content-type': 'text/event-stream', 'cache-control': 'no-cache', ...headers };
    if (outgoing === undefined) {
      return c.body(toWebStream(answer.events), status as ContentfulStatusCode, sent);
    }
    outgoing.writeHead(status, sent);
    writeEvents(outgoing, answer.events).catch((error: unknown) => {
      onBroken(error);
      outgoing.destroy();
    });
    return RESPONSE_ALREADY_SENT;
  }
  const contentType = 'contentType' in answer ? answer.contentType : 'application/json';
  const body = bodyOf(answer);
  const sent = { 'content-type': contentType, ...headers };
  if (outgoing === undefined) return c.body(body, status as ContentfulStatusCode, sent);
  outgoing.writeHead(status, { ...sent, 'content-length': Buffer.byteLength(body) }).end(body);
  return RESPONSE_ALREADY_SENT;
}

function bodyOf(answer: Exclude<Answer, StreamAnswer>): string | Uint8Array<ArrayBuffer> {
  if ('bytes' in answer) return answer.bytes;
  return 'text' in answer ? answer.text : JSON.stringify(answer.body);
}

/** As fast as the client reads: what it does not take yet is not asked for. */
async function writeEvents(outgoing: ServerResponse, events: AsyncIterable<string>): Promise<void> {
  outgoing.flushHeaders(); // the first event may be a minute away
  const gone = new AbortController();
  const onClose = (): void => gone.abort();
  outgoing.once('close', onClose);
  try {
    for await (const text of events) {
      if (outgoing.destroyed) return; // leaving the loop tells the events' source
      if (!outgoing.write(text)) await once(outgoing, 'drain', { signal: gone.signal });
    }
    outgoing.end();
  } catch (error) {
    if (!gone.signal.aborted) throw error; // else the client has gone, and nobody waits any more
  } finally {
    outgoing.off('close', onClose);
  }
}

function toWebStream(events: AsyncIterable<string>): ReadableStream<Uint8Array> {
  const iterator = events[Symbol.asyncIterator]();
  const encoder = new TextEncoder();
  return new ReadableStream({
    async pull(controller) {
      const next = await iterator.next();
      if (next.done === true) controller.close();
      else controller.enqueue(encoder.encode(next.value));
    },
    async cancel() {
      await iterator.return?.();
    },
  });
}
