import type { Field, Fields } from './wire';
import { decodeWire } from './wire';

// The fields of OTLP's trace service that are read here, with their numbers (github.com/open-telemetry/opentelemetry-proto, v1).

const one = (name: string, field: Field): { name: string; isList: boolean; field: Field } => ({
  ...{ name, isList: false, field },
});
const list = (name: string, of: () => Fields): { name: string; isList: boolean; field: Field } => ({
  ...{ name, isList: true, field: { kind: 'message', of } },
});
const message = (name: string, of: () => Fields): ReturnType<typeof one> =>
  one(name, { kind: 'message', of });

const ANY_VALUE: Fields = new Map([
  [1, one('stringValue', { kind: 'string' })],
  [2, one('boolValue', { kind: 'bool' })],
  [3, one('intValue', { kind: 'int64' })],
  [4, one('doubleValue', { kind: 'double' })],
  [5, message('arrayValue', () => ARRAY_VALUE)],
  [6, message('kvlistValue', () => KEY_VALUE_LIST)],
  [7, one('bytesValue', { kind: 'base64' })],
]);
const ARRAY_VALUE: Fields = new Map([[1, list('values', () => ANY_VALUE)]]);
const KEY_VALUE: Fields = new Map([
  [1, one('key', { kind: 'string' })],
  [2, message('value', () => ANY_VALUE)],
]);
const KEY_VALUE_LIST: Fields = new Map([[1, list('values', () => KEY_VALUE)]]);
const EVENT: Fields = new Map([
  [2, one('name', { kind: 'string' })],
  [3, list('attributes', () => KEY_VALUE)],
]);
const STATUS: Fields = new Map([[3, one('code', { kind: 'enum' })]]);
const SPAN: Fields = new Map([
  [1, one('traceId', { kind: 'hex' })],
  [2, one('spanId', { kind: 'hex' })],
  [5, one('name', { kind: 'string' })],
  [7, one('startTimeUnixNano', { kind: 'fixed64' })],
  [8, one('endTimeUnixNano', { kind: 'fixed64' })],
  [9, list('attributes', () => KEY_VALUE)],
  [11, list('events', () => EVENT)],
  [15, message('status', () => STATUS)],
]);
const SCOPE_SPANS: Fields = new Map([[2, list('spans', () => SPAN)]]);
const RESOURCE_SPANS: Fields = new Map([[2, list('scopeSpans', () => SCOPE_SPANS)]]);
const REQUEST: Fields = new Map([[1, list('resourceSpans', () => RESOURCE_SPANS)]]);

/** An ExportTraceServiceRequest in its JSON form. @throws {RequestError} 400 */
export function decodeTraces(bytes: Buffer, maxParts: number): unknown {
  return decodeWire(bytes, REQUEST, maxParts);
}
