import type { Socket } from 'node:net';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import type { CallKind, Template } from './calls';
import { answerEvents, answerText, CALL_MARK, CALLS, template } from './calls';

// An upstream that answers at once with bytes that were made before: what it costs is little more than its sockets. It listens on a port
// of its own choice, tells its parent, and ends with it. `POST /<kind>/chat/completions`.

/** A stream leaves in so many writes, as a server's does that flushes now and then. */
const PIECES = 5;
const HEADER_END = '\r\n\r\n';

interface Answers {
  readonly whole: Template;
  readonly stream: readonly Template[];
}

function answersOf(kind: CallKind): Answers {
  const body = answerText(kind);
  const status = 'HTTP/1.1 200 OK';
  const whole = `${status}\r\ncontent-type: application/json\r\ncontent-length: ${body.length}${HEADER_END}${body}`;
  const events = answerEvents(kind);
  const size = Math.ceil(events.length / PIECES);
  const stream = Array.from({ length: PIECES }, (_, i) => {
    const piece = events.slice(i * size, (i + 1) * size).join('');
    const first = `${status}\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked${HEADER_END}`;
    return `${i === 0 ? first : ''}${piece.length.toString(16)}\r\n${piece}\r\n${i === PIECES - 1 ? '0\r\n\r\n' : ''}`;
  });
  return { whole: template(whole), stream: stream.map(template) };
}

const answers = new Map<string, Answers>(
  (Object.keys(CALLS) as CallKind[]).map((kind) => [`POST /${kind}/`, answersOf(kind)] as const),
);
let calls = 0;

function answer(socket: Socket, head: string, isStream: boolean): void {
  const found = answers.get(head.slice(0, head.indexOf('/', 'POST /'.length) + 1));
  if (found === undefined) {
    socket.end(`HTTP/1.1 404 Not Found\r\ncontent-length: 0${HEADER_END}`);
    return;
  }
  calls++;
  if (!isStream) {
    found.whole.set(CALL_MARK, calls);
    socket.write(found.whole.bytes);
    return;
  }
  const call = calls;
  const write = (i: number): void => {
    const piece = found.stream[i];
    if (piece === undefined || socket.destroyed) return;
    piece.set(CALL_MARK, call);
    socket.write(piece.bytes); // the kernel takes it at once, or digits change that nobody compares
    setImmediate(write, i + 1);
  };
  write(0);
}

const server = createServer((socket) => {
  socket.setNoDelay();
  socket.on('error', () => socket.destroy()); // the other side ended first
  let waiting: Buffer | null = null;
  socket.on('data', (chunk) => {
    const bytes: Buffer = waiting === null ? chunk : Buffer.concat([waiting, chunk]);
    const end = bytes.indexOf(HEADER_END);
    waiting = bytes;
    if (end === -1) return;
    const head = bytes.toString('latin1', 0, end);
    const length = Number(/content-length: (\d+)/i.exec(head)?.[1] ?? 0);
    if (bytes.length < end + HEADER_END.length + length) return;
    waiting = null;
    answer(socket, head, bytes.includes('"stream":true', end));
  });
});
server.listen(0, '127.0.0.1', () =>
  process.send?.({ port: (server.address() as AddressInfo).port }),
);
process.once('disconnect', () => process.exit(0));
