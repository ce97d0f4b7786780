import { parse, type Type } from 'protobufjs';

/** The trace service as protobufjs knows it: an encoder that shares nothing with what it tests. */
const { root } = parse(
  `
  syntax = "proto3";
  message AnyValue {
    oneof value {
      string stringValue = 1; bool boolValue = 2; int64 intValue = 3; double doubleValue = 4;
      ArrayValue arrayValue = 5; KeyValueList kvlistValue = 6; bytes bytesValue = 7;
    }
  }
  message ArrayValue { repeated AnyValue values = 1; }
  message KeyValueList { repeated KeyValue values = 1; }
  message KeyValue { string key = 1; AnyValue value = 2; }
  message Event { fixed64 timeUnixNano = 1; string name = 2; repeated KeyValue attributes = 3; uint32 dropped = 4; }
  message Status { string message = 2; int32 code = 3; }
  message Span {
    bytes traceId = 1; bytes spanId = 2; string traceState = 3; bytes parentSpanId = 4; string name = 5; int32 kind = 6;
    fixed64 startTimeUnixNano = 7; fixed64 endTimeUnixNano = 8; repeated KeyValue attributes = 9; uint32 dropped = 10;
    repeated Event events = 11; Status status = 15; fixed32 flags = 16;
  }
  message ScopeSpans { repeated Span spans = 2; string schemaUrl = 3; }
  message Resource { repeated KeyValue attributes = 1; }
  message ResourceSpans { Resource resource = 1; repeated ScopeSpans scopeSpans = 2; string schemaUrl = 3; }
  message Request { repeated ResourceSpans resourceSpans = 1; }

  message PartialSuccess { int64 rejectedSpans = 1; string errorMessage = 2; }
  message Response { PartialSuccess partialSuccess = 1; }
  message RpcStatus { int32 code = 1; string message = 2; }
  `,
  { keepCase: true },
);
const Request: Type = root.lookupType('Request');
const Response: Type = root.lookupType('Response');
const RpcStatus: Type = root.lookupType('RpcStatus');

/** @param request as OTLP's JSON has it. */
export function toProtobuf(request: object): Uint8Array<ArrayBuffer> {
  // The one thing in which OTLP's JSON differs from protobuf's: ids are hexadecimal there, not base64.
  const text = JSON.stringify(request, (name, value: unknown) =>
    /^(?:traceId|spanId|parentSpanId)$/.test(name)
      ? Buffer.from(String(value), 'hex').toString('base64')
      : value,
  );
  return Uint8Array.from(Request.encode(Request.fromObject(JSON.parse(text) as object)).finish());
}

export function readResponse(bytes: Uint8Array): object {
  return Response.toObject(Response.decode(bytes), { longs: String });
}

export function readRpcStatus(bytes: Uint8Array): object {
  return RpcStatus.toObject(RpcStatus.decode(bytes));
}
