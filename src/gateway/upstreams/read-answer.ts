import type { Upstream, UpstreamResponse } from './upstream';
import { UpstreamError } from './upstream';

/** No answer is longer than this. */
const MAX_ANSWER_BYTES = 64 * 1024 * 1024;

/** The whole body of an answer. @throws {UpstreamError} */
export async function readAnswer(upstream: Upstream, { body }: UpstreamResponse): Promise<string> {
  const chunks: Uint8Array[] = [];
  let sizeBytes = 0;
  for await (const chunk of body) {
    sizeBytes += chunk.length;
    if (sizeBytes > MAX_ANSWER_BYTES) {
      throw new UpstreamError(
        'garbage',
        `the upstream’s answer is too long: expected at most ${MAX_ANSWER_BYTES} bytes`,
        { upstream: upstream.name },
      );
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}
