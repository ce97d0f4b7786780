import { connect, type Socket } from 'node:net';

export interface RawAnswer {
  /** 0 where the connection was closed without an answer. */
  readonly status: number;
  readonly head: string;
  readonly body: string;
}

/**
 * Sends bytes as they are, each piece by itself, and reads until the server closes the connection, or `isEnough`.
 *
 * @param isEnough tells when to stop reading; what has come is the text so far. @default an answer with all of its content
 */
export async function sendRaw(
  url: string,
  pieces: readonly (string | Uint8Array)[],
  isEnough: (text: string) => boolean = isWhole,
): Promise<RawAnswer> {
  const { hostname, port } = new URL(url);
  const socket = connect({ host: hostname, port: Number(port), noDelay: true });
  try {
    const text = await new Promise<string>((resolve) => {
      let got = '';
      socket.on('data', (chunk: Buffer) => {
        got += chunk.toString('latin1');
        if (isEnough(got)) resolve(got);
      });
      // A reset after an answer that was sent is no other answer.
      socket.on('close', () => resolve(got)).on('error', () => undefined);
      void writeAll(socket, pieces);
    });
    const end = text.indexOf('\r\n\r\n');
    return {
      status: Number(/^HTTP\/1\.1 (\d{3}) /.exec(text)?.[1] ?? 0),
      head: end === -1 ? text : text.slice(0, end),
      body: end === -1 ? '' : text.slice(end + 4),
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

function isWhole(text: string): boolean {
  const end = text.indexOf('\r\n\r\n');
  const length = /\r\ncontent-length: (\d+)/i.exec(text)?.[1];
  return end !== -1 && length !== undefined && text.length >= end + 4 + Number(length);
}
