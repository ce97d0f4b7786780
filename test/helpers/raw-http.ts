import { connect, type Socket } from 'node:net';
import { isWholeAnswer } from '../../bench/support/raw-http';

export interface RawAnswer {
  /** 0 where the connection was closed without an answer. */
  readonly status: number;
  readonly head: string;
  /** Of the first answer, as long as it says that it is. */
  readonly body: string;
  /** All that came. */
  readonly text: string;
}

/**
 * Sends bytes as they are, each piece by itself, and reads until the server closes the connection, or `isEnough`.
 *
 * @param isEnded whether the client says that nothing follows.
 * @param isEnough tells when to stop reading; what has come is the text so far. @default an answer with all of its content
 */
export async function sendRaw(
  url: string,
  pieces: readonly (string | Uint8Array)[],
  isEnough: (text: string) => boolean = isWholeAnswer,
  isEnded = false,
): Promise<RawAnswer> {
  const { hostname, port } = new URL(url);
  const socket = connect({ host: hostname, port: Number(port), noDelay: true });
  try {
    const text = await new Promise<string>((resolve) => {
      let got = '';
      socket.on('data', (chunk: Buffer) => {
        // What comes before an answer, and has no content.
        got = (got + chunk.toString('latin1')).replace(/^(?:HTTP\/1\.1 100 Continue\r\n\r\n)+/, '');
        if (isEnough(got)) resolve(got);
      });
      // A reset after an answer that was sent is no other answer.
      socket.on('close', () => resolve(got)).on('error', () => undefined);
      void writeAll(socket, pieces).then(() => isEnded && socket.end());
    });
    const end = text.indexOf('\r\n\r\n');
    const length = Number(/\r\ncontent-length: (\d+)/i.exec(text.slice(0, end))?.[1] ?? Infinity);
    return {
      text,
      status: Number(/^HTTP\/1\.1 (\d{3}) /.exec(text)?.[1] ?? 0),
      head: end === -1 ? text : text.slice(0, end),
      body: end === -1 ? '' : text.slice(end + 4, end + 4 + length),
    };
  } finally {
    socket.destroy();
  }
}

async function writeAll(socket: Socket, pieces: readonly (string | Uint8Array)[]): Promise<void> {
  for (const piece of pieces) {
    if (!socket.writable) return;
    socket.write(piece);
    if (pieces.length > 1) await new Promise((resolve) => setImmediate(resolve));
  }
}
