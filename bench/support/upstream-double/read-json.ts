import type { IncomingMessage } from 'node:http';
import { buffer } from 'node:stream/consumers';
import { gunzipSync } from 'node:zlib';
import { invalid, Refusal } from './refusal';

/** What a request says. @throws {Refusal} if it is not JSON in UTF-8, packed as its headers say. */
export async function readJson(
  request: IncomingMessage,
): Promise<{ readonly text: string; readonly json: unknown }> {
  const raw = await buffer(request);
  const contentType = request.headers['content-type'] ?? '';
  if (!/^application\/json\s*(;|$)/i.test(contentType)) {
    throw new Refusal(415, `expected content-type application/json, got '${contentType}'`);
  }
  let text: string;
  try {
    const bytes = unpack(raw, request.headers['content-encoding']);
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (error) {
    if (error instanceof Refusal) throw error;
    throw invalid('the body is not what its content-encoding says, or not UTF-8', null);
  }
  try {
    return { text, json: JSON.parse(text) };
  } catch {
    throw invalid('the body is not JSON', null);
  }
}

function unpack(raw: Buffer, encoding = 'identity'): Uint8Array {
  if (encoding === 'identity') return raw;
  if (encoding === 'gzip') return gunzipSync(raw);
  throw new Refusal(415, `unknown content-encoding '${encoding}'`);
}
