import { UpstreamError } from '../upstreams/upstream';

/** An upstream answered with success, and what it said is not of the protocol. The message quotes nothing of it. */
export function notOfProtocol(expected: string, cause?: unknown): UpstreamError {
  return new UpstreamError(
    'garbage',
    `the upstream’s answer is not of its protocol: expected ${expected}`,
    { cause },
  );
}
