import type { ServerResponse } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import { gzipSync } from 'node:zlib';
import type { Delivery, Promised } from './protocol';

/** Lengths of the pieces that bodies are written in, in turn: short ones fall inside of characters, events and line ends. */
const PIECES = [1, 7, 64, 3, 500, 2, 31, 4_096];

/**
 * Writes an answer, or makes of it the trouble that was asked for.
 *
 * @param accepts whether the client takes gzip.
 */
export async function deliver(
  response: ServerResponse,
  { content }: Promised,
  { trouble, pauseMs }: Delivery,
  accepts: boolean,
): Promise<void> {
  if (trouble === 'hang') return; // the connection stays open until somebody tires of it
  if (trouble === 'reset') return void response.socket?.resetAndDestroy();
  const isStream = content.kind === 'events';
  const whole = Buffer.from(isStream ? content.events.join('') : JSON.stringify(content.body));
  let bytes: Uint8Array = whole;
  if (trouble === 'garbage') bytes = Buffer.from(isStream ? 'data: <oops>\n\n' : '<oops>');
  else if (trouble?.endsWith('-midway') || trouble === 'end-early') bytes = half(whole, isStream);
  if (trouble === 'garbage-midway') {
    bytes = Buffer.concat([bytes, Buffer.from(isStream ? 'data: {"<oops>\n\n' : '<oops>')]);
  }
  response.setHeader('content-type', isStream ? 'text/event-stream' : 'application/json');
  if (!isStream && accepts && trouble === null) {
    response.setHeader('content-encoding', 'gzip');
    bytes = gzipSync(bytes);
  }
  response.writeHead(200);
  response.flushHeaders();
  await writePieces(response, bytes, trouble === 'slow' ? pauseMs : 0);
  if (trouble === 'hang-midway') return;
  if (trouble === 'reset-midway') return void response.socket?.resetAndDestroy();
  response.end();
}

/** The first half: of a stream, whole events of it. */
function half(bytes: Buffer, isStream: boolean): Buffer {
  const middle = Math.floor(bytes.length / 2);
  return bytes.subarray(0, isStream ? bytes.lastIndexOf('\n\n', middle) + 2 : middle);
}

async function writePieces(
  response: ServerResponse,
  bytes: Uint8Array,
  pauseMs: number,
): Promise<void> {
  for (let start = 0, turn = 0; start < bytes.length && !response.destroyed; turn++) {
    const end = start + (PIECES[turn % PIECES.length] as number);
    response.write(bytes.subarray(start, end));
    start = end;
    // Each piece leaves by itself; pieces of one turn of the loop would go together.
    await (pauseMs > 0 ? delay(pauseMs) : new Promise(setImmediate));
  }
}
