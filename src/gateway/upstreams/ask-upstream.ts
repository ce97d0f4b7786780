import type { Protocol, ProtocolCall } from '../protocols/protocol';
import type { AnswerReader } from '../protocols/protocol';
import { RequestError } from '../http/request-error';
import type { ModelTarget } from './model-table';
import type { Upstream, UpstreamResponse, UpstreamTransport } from './upstream';
import { UpstreamError } from './upstream';

export interface AskedUpstream {
  readonly target: ModelTarget;
  readonly response: UpstreamResponse;
  readonly reader: AnswerReader;
}

/** What an agent's client says about how it speaks; anything else of its headers stays here, above all its key. */
const FORWARDED = ['anthropic-version', 'anthropic-beta', 'openai-beta'];

/**
 * Asks the upstream that a model name stands for. Resolves when its answer has begun, whatever its status is.
 *
 * @param header a header of the agent's request.
 * @throws {UpstreamError}
 * @throws {RequestError} 400 if no upstream of the model speaks the protocol.
 */
export async function askUpstream(
  transport: UpstreamTransport,
  protocol: Protocol,
  call: ProtocolCall,
  targets: readonly [ModelTarget, ...ModelTarget[]],
  { header, signal }: { header: (name: string) => string | undefined; signal: AbortSignal },
): Promise<AskedUpstream> {
  const target = targets.find(({ upstream }) => upstream.protocols.includes(protocol.name));
  if (target === undefined) {
    const spoken = [...new Set(targets.flatMap(({ upstream }) => upstream.protocols))].join(', ');
    throw new RequestError(
      `no upstream of this model speaks ${protocol.name}: expected one of ${spoken}`,
      { status: 400, reason: 'unsupported_protocol', param: 'model' },
    );
  }
  const { upstream, model } = target;
  const { body, reader } = protocol.forUpstream(call, { model, tokenIds: upstream.tokenIds });
  const response = await transport.send(upstream, {
    ...{ path: protocol.path, body, signal },
    headers: { ...forwarded(header), ...keyHeaders(protocol, upstream) },
  });
  return { target, response, reader };
}

function forwarded(header: (name: string) => string | undefined): Record<string, string> {
  const headers: Record<string, string> = {};
  for (const name of FORWARDED) {
    const value = header(name);
    if (value !== undefined) headers[name] = value;
  }
  return headers;
}

function keyHeaders(protocol: Protocol, { key }: Upstream): Record<string, string> {
  if (key === null) return {};
  return protocol.name === 'messages' ? { 'x-api-key': key } : { authorization: `Bearer ${key}` };
}

/** No answer is longer than this. */
const MAX_ANSWER_BYTES = 64 * 1024 * 1024;

/** The whole body of an answer. @throws {UpstreamError} */
export async function readAnswer({ target, response }: AskedUpstream): Promise<string> {
  const chunks: Uint8Array[] = [];
  let sizeBytes = 0;
  for await (const chunk of response.body) {
    sizeBytes += chunk.length;
    if (sizeBytes > MAX_ANSWER_BYTES) {
      throw new UpstreamError(
        'garbage',
        `the upstream’s answer is too long: expected at most ${MAX_ANSWER_BYTES} bytes`,
        { upstream: target.upstream.name },
      );
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}
