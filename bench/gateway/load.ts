import { connect } from 'node:net';
import type { Template } from './calls';
import { CALL_MARK, SESSION_MARK } from './calls';

/** Answers to calls in milliseconds, and how long it took to get them all. */
export interface Load {
  readonly seconds: number;
  readonly latencies: readonly number[];
}

/** Keeps connections open and asks over them, one call at a time each. */
export interface Clients {
  /** Each of `clients` connections asks again as soon as it was answered. */
  closedLoop(clients: number, end: { seconds: number } | { calls: number }): Promise<Load>;
  /** So many calls a second, whether the ones before were answered or not. Latencies count from when a call was due. */
  openLoop(callsPerSecond: number, seconds: number): Promise<Load>;
  close(): void;
}

/** How many calls share a session, and so their history. */
const CALLS_PER_SESSION = 10;
// Of this process: no two calls say the same.
let [calls, sessions] = [0, 0];

interface Connection {
  ask(onAnswer: (error: Error | null) => void): void;
  close(): void;
}

export function createClients(port: number, request: Template): Clients {
  const idle: Connection[] = [];
  const all: Connection[] = [];
  const open = (): Connection => {
    const connection = createConnection(port, request);
    all.push(connection);
    return connection;
  };

  return {
    closedLoop: (clients, end) =>
      new Promise((resolve, reject) => {
        while (idle.length < clients) idle.push(open());
        const [latencies, startedAt] = [[] as number[], performance.now()];
        const until = 'seconds' in end ? startedAt + end.seconds * 1_000 : Infinity;
        const most = 'calls' in end ? end.calls : Infinity;
        let [asked, busy] = [0, clients];
        const next = (connection: Connection): void => {
          const at = performance.now();
          if (at >= until || asked >= most) {
            idle.push(connection);
            if (--busy === 0) resolve({ seconds: (at - startedAt) / 1_000, latencies });
            return;
          }
          asked++;
          connection.ask((error) => {
            if (error !== null) return reject(error);
            latencies.push(performance.now() - at);
            next(connection);
          });
        };
        for (const connection of idle.splice(0, clients)) next(connection);
      }),

    openLoop: (callsPerSecond, seconds) =>
      new Promise((resolve, reject) => {
        const [latencies, startedAt] = [[] as number[], performance.now()];
        const total = Math.round(callsPerSecond * seconds);
        let asked = 0;
        const tick = (): void => {
          const due = ((performance.now() - startedAt) / 1_000) * callsPerSecond;
          while (asked < Math.min(due, total)) {
            const dueAt = startedAt + (asked++ / callsPerSecond) * 1_000;
            const connection = idle.pop() ?? open();
            connection.ask((error) => {
              if (error !== null) return reject(error);
              const at = performance.now();
              latencies.push(at - dueAt);
              idle.push(connection);
              if (latencies.length === total)
                resolve({ seconds: (at - startedAt) / 1_000, latencies });
            });
          }
          if (asked < total) setTimeout(tick, 1);
        };
        tick();
      }),

    close: () => all.forEach((connection) => connection.close()),
  };
}

const LAST_CHUNK = Buffer.from('0\r\n\r\n');
const NOTHING = Buffer.alloc(0);

/** As little HTTP as it takes. An answer that is not a success, or that was not recorded, is an error. */
function createConnection(port: number, request: Template): Connection {
  const socket = connect(port, '127.0.0.1').setNoDelay();
  let onAnswer: ((error: Error | null) => void) | null = null;
  let head = '';
  let missing = 0; // bytes of a body whose length is known
  let isChunked = false;
  let isInBody = false;
  let end: Buffer = NOTHING; // of what came of a body in chunks
  let [session, left] = [0, 0];

  const settle = (error: Error | null): void => {
    const settled = onAnswer;
    [onAnswer, head, end] = [null, '', NOTHING];
    isInBody = false;
    settled?.(error);
  };
  const readHead = (chunk: Buffer): Buffer | null => {
    head += chunk.toString('latin1');
    const behind = head.indexOf('\r\n\r\n') + 4;
    if (behind === 3) return null;
    const body = chunk.subarray(chunk.length - (head.length - behind));
    head = head.slice(0, behind);
    if (!head.startsWith('HTTP/1.1 200') || /x-ratchet-recorded: false/i.test(head)) {
      settle(new Error(`a call was not answered and recorded: ${head} ${body.toString()}`));
      return null;
    }
    isChunked = /transfer-encoding: chunked/i.test(head);
    if (!isChunked) missing = Number(/content-length: (\d+)/i.exec(head)?.[1]);
    return body;
  };
  socket.on('data', (chunk) => {
    const body = isInBody ? chunk : readHead(chunk);
    if (body === null) return;
    isInBody = true;
    if (!isChunked) {
      missing -= body.length;
      if (missing <= 0) settle(null);
      return;
    }
    if (body.includes('x-ratchet-recorded: false')) {
      settle(new Error('a stream was answered but not recorded'));
      return;
    }
    end = body.length >= LAST_CHUNK.length ? body : Buffer.concat([end, body]);
    end = end.subarray(-LAST_CHUNK.length);
    if (end.equals(LAST_CHUNK)) settle(null);
  });
  socket.on('error', settle).on('close', () => settle(new Error('the connection was closed')));
  return {
    ask(then) {
      onAnswer = then;
      if (left-- === 0) [session, left] = [++sessions, CALLS_PER_SESSION - 1];
      request.set(CALL_MARK, ++calls);
      request.set(SESSION_MARK, session);
      socket.write(request.bytes);
    },
    close: () => socket.destroy(),
  };
}
