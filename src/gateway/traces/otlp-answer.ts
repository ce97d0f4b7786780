import { Writer } from 'protobufjs/minimal';
import type { Answer } from '../http/answer';
import type { ErrorAnswer } from '../http/error-response';
import type { GatewayContext } from '../http/gateway-context';
import { headerOf } from '../http/gateway-context';
import { RequestError } from '../http/request-error';

const PROTOBUF = 'application/x-protobuf';
const JSON_TYPE = 'application/json';
/** Protobuf's wire types. */
const [VARINT, LENGTH] = [0, 2];

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
    const writer = Writer.create();
    if (isAll) return protobuf(writer);
    writer.uint32((1 << 3) | LENGTH).fork();
    return protobuf(countAndText(writer, rejectedSpans, errorMessage).ldelim());
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
  return { ...protobuf(countAndText(Writer.create(), code, message)), status, headers };
}

/** Codes of gRPC: https://grpc.io/docs/guides/status-codes/ */
function codeOf(status: number): number {
  if (status === 401) return 16;
  if (status === 403) return 7;
  if (status === 429 || status === 413) return 8;
  if (status >= 500) return status === 503 ? 14 : 13;
  return 3;
}

function protobuf(writer: Writer): Answer {
  return { bytes: Uint8Array.from(writer.finish()), contentType: PROTOBUF };
}

/** Fields by number; those of nothing are left out, as proto3 has it. @param count field 1, @param text field 2. */
function countAndText(writer: Writer, count: number, text: string): Writer {
  if (count !== 0) writer.uint32((1 << 3) | VARINT).uint32(count);
  if (text !== '') writer.uint32((2 << 3) | LENGTH).string(text);
  return writer;
}
