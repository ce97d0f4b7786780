import { StringDecoder } from 'node:string_decoder';
import { TransientError } from '../../errors';

/** One event of a stream. Source: https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream */
export interface SseEvent {
  /** As it came, with the blank line that ends it. */
  readonly text: string;
  /** What its `event:` says; empty where it says nothing. */
  readonly name: string;
  /** Its `data:` lines, joined by line ends; null where it has none (a comment that keeps the connection alive). */
  readonly data: string | null;
}

/** An event that is longer than this never ends, as far as we are concerned. */
const MAX_EVENT_CHARS = 16 * 1024 * 1024;

/**
 * Cuts the bytes of a stream into its events, each as soon as it is whole; the chunks may end anywhere, also within a character. What comes
 * after the last blank line is no event. Parsers of streams (eventsource-parser) give an event's fields and not its text, which has to be
 * handed on as it came.
 *
 * @throws {TransientError} for an event without an end.
 */
export async function* readSse(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<SseEvent[]> {
  const decoder = new StringDecoder('utf8');
  let rest = '';
  for await (const chunk of chunks) {
    const events: SseEvent[] = [];
    let start = 0;
    END.lastIndex = Math.max(0, rest.length - LONGEST_END + 1); // before it was looked already
    rest += decoder.write(chunk);
    for (let end = END.exec(rest); end !== null; end = END.exec(rest)) {
      events.push(parseEvent(rest.slice(start, END.lastIndex)));
      start = END.lastIndex;
    }
    if (start > 0) rest = rest.slice(start);
    if (rest.length > MAX_EVENT_CHARS) {
      throw new TransientError(
        `the upstream’s stream has an event without an end: expected a blank line within ${MAX_EVENT_CHARS} characters`,
      );
    }
    if (events.length > 0) yield events;
  }
}

/** A blank line: of each pair of line ends the first one ends the last line. A CR at the end of a chunk may be the half of one. */
const LONGEST_END = 4;
const END = /\n\n|\r\n\r\n|\n\r\n|\r\r(?!\n|$)/g;

function parseEvent(text: string): SseEvent {
  let name = '';
  let data: string | null = null;
  for (const line of text.split(/\r\n|\n|\r/)) {
    const colon = line.indexOf(':');
    if (colon === 0) continue; // a comment
    const field = colon === -1 ? line : line.slice(0, colon);
    const from = line[colon + 1] === ' ' ? colon + 2 : colon + 1;
    const value = colon === -1 ? '' : line.slice(from);
    if (field === 'data') data = data === null ? value : `${data}\n${value}`;
    else if (field === 'event') name = value;
  }
  return { text, name, data };
}

/** @param data JSON, which has no line ends outside of strings when JSON.stringify wrote it. */
export function sseEvent(data: string, name = ''): string {
  return name === '' ? `data: ${data}\n\n` : `event: ${name}\ndata: ${data}\n\n`;
}
