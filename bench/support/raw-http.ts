import type { Socket } from 'node:net';
import { manyTools } from './instant-policies';

/** A chat completion with `tools` tools, as the bytes that go over the wire. */
export function chatRequestBytes(key: string, i: number, tools: number): Buffer {
  const body = JSON.stringify({
    model: 'ratchet/bench',
    messages: [
      { role: 'system', content: 'You help customers of a bank. Call the tool that fits.' },
      { role: 'user', content: `what is the weather like in town number ${i} today` },
    ],
    tools: manyTools(tools),
  });
  const head = [
    'POST /v1/chat/completions HTTP/1.1',
    'host: bench',
    `authorization: Bearer ${key}`,
    'content-type: application/json',
    `content-length: ${Buffer.byteLength(body)}`,
  ];
  return Buffer.from(`${head.join('\r\n')}\r\n\r\n${body}`);
}

/** Whether an answer has come with all of its content. One that does not say how long it is never is. */
export function isWholeAnswer(text: string): boolean {
  const end = text.indexOf('\r\n\r\n');
  const length = /\r\ncontent-length: (\d+)/i.exec(text)?.[1];
  return end !== -1 && length !== undefined && text.length >= end + 4 + Number(length);
}

/** As little HTTP as it takes, so that what is measured is the gateway. @returns the head of the answer. */
export function exchange(socket: Socket, request: Buffer): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = '';
    const onData = (chunk: Buffer): void => {
      text += chunk.toString('latin1');
      if (!isWholeAnswer(text)) return;
      socket.off('data', onData).off('error', reject);
      resolve(text.slice(0, text.indexOf('\r\n\r\n')));
    };
    socket.on('data', onData).once('error', reject);
    socket.write(request);
  });
}
