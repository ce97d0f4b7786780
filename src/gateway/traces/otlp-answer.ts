import type { Answer } from '../http/answer';
import type { ErrorAnswer } from '../http/error-response';
import type { GatewayContext } from '../http/gateway-context';
import { headerOf } from '../http/gateway-context';
import { RequestError } from '../http/request-error';

const PROTOBUF = 'application/x-protobuf';
const JSON_TYPE = 'application/json';

/** Whether a request is in protobuf: its answer is then, too. */
export function isProtobuf(c: GatewayContext): boolean {
  return contentType(c) === PROTOBUF;
}

/** @throws {RequestError} 415 if a request is in neither of the two. One that does not say is taken for JSON. */
export function assertEncoding(c: GatewayContext): void {
  if (['', JSON_TYPE, PROTOBUF].includes(contentType(c))) return;
  throw new RequestError(
    `the content-type is not known here: expected ${PROTOBUF} or ${JSON_TYPE}`,
    {
      ...{ status: 415, reason: 'unsupported_content_type' },
    },
  );
}

function contentType(c: GatewayContext): string {
  return (headerOf(c, 'content-type') ?? '').split(';')[0]?.trim().toLowerCase() ?? '';
}

export interface PartialSuccess {
  readonly rejectedSpans: number;
  /** Empty where there is nothing to say. */
  readonly errorMessage: string;
}

/** An ExportTraceServiceResponse. */
export function exported(
  c: GatewayContext,
  { rejectedSpans, errorMessage }: PartialSuccess,
): Answer {
  const isAll = rejectedSpans === 0 && errorMessage === '';
  if (isProtobuf(c)) {
    const partial = [...varintField(1, rejectedSpans), ...textField(2, errorMessage)];
    return protobuf(isAll ? [] : [...lengthField(1, Buffer.from(partial))]);
  }
  // 64 bits are text in protobuf's JSON form.
  const partialSuccess = { rejectedSpans: String(rejectedSpans), errorMessage };
  return { body: isAll ? {} : { partialSuccess } };
}

/** What was refused, as a google.rpc.Status. */
export function otlpError(c: GatewayContext, { status, headers, body }: ErrorAnswer): Answer {
  const { message } = body.error;
  const code = codeOf(status);
  if (!isProtobuf(c)) return { status, headers, body: { code, message } };
  const bytes = [...varintField(1, code), ...textField(2, message)];
  return { ...protobuf(bytes), status, headers };
}

/** Codes of gRPC: https://grpc.io/docs/guides/status-codes/ */
function codeOf(status: number): number {
  if (status === 401) return 16;
  if (status === 403) return 7;
  if (status === 429 || status === 413) return 8;
  if (status >= 500) return status === 503 ? 14 : 13;
  return 3;
}

function protobuf(bytes: readonly number[]): Answer {
  return { bytes: Uint8Array.from(bytes), contentType: PROTOBUF };
}

function varintField(number: number, value: number): number[] {
  return value === 0 ? [] : [number << 3, ...varint(value)];
}

function textField(number: number, text: string): number[] {
  return text === '' ? [] : lengthField(number, Buffer.from(text));
}

function lengthField(number: number, bytes: Buffer): number[] {
  return [(number << 3) | 2, ...varint(bytes.length), ...bytes];
}

/** @param value at least 0, at most 2^31. */
function varint(value: number): number[] {
  const bytes: number[] = [];
  for (let rest = value; ; rest >>>= 7) {
    if (rest < 0x80) return [...bytes, rest];
    bytes.push((rest & 0x7f) | 0x80);
  }
}
