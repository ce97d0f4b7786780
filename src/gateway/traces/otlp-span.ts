import { z } from 'zod';
import { validate } from '../http/json-body';

/** Attributes by name; values as JSON has them. */
export type Attributes = ReadonlyMap<string, unknown>;

export interface OtlpSpan {
  /** Hexadecimal digits, small; empty where they are not what OTLP says, as are times. */
  readonly traceId: string;
  readonly spanId: string;
  readonly startNs: bigint | null;
  /** null for a span that has not ended. */
  readonly endNs: bigint | null;
  /** Whether what it is about failed. */
  readonly isError: boolean;
  readonly attributes: Attributes;
  readonly events: readonly OtlpEvent[];
}
export interface OtlpEvent {
  readonly name: string;
  readonly attributes: Attributes;
}

const Loose = z.unknown().optional();
const Listed = z.array(Loose).nullish();
const KeyValue = z.looseObject({ key: z.string().nullish(), value: Loose });
const KeyValues = z.array(KeyValue).nullish();
const Event = z.looseObject({ name: z.string().nullish(), attributes: KeyValues });
// As loose as what follows can bear: what is wrong with one span must not cost the others.
const Span = z.looseObject({
  traceId: Loose,
  spanId: Loose,
  startTimeUnixNano: Loose,
  endTimeUnixNano: Loose,
  attributes: KeyValues,
  events: z.array(Event).nullish(),
  status: z.looseObject({ code: Loose }).nullish(),
});
/** Of OTLP's `Status.StatusCode`; the name is what other writers of protobuf's JSON say. */
const ERROR: readonly unknown[] = [2, 'STATUS_CODE_ERROR'];
/** An ExportTraceServiceRequest in the JSON form of OTLP 1.x. */
const Request = z.looseObject({
  resourceSpans: z
    .array(z.looseObject({ scopeSpans: z.array(z.looseObject({ spans: Listed })).nullish() }))
    .nullish(),
});

/** The spans of a request, each as it was sent: see `toSpan`. @throws {RequestError} 400 if it is no request of the trace service. */
export function spansOf(json: unknown): readonly unknown[] {
  const { resourceSpans } = validate(Request, json);
  return (resourceSpans ?? [])
    .flatMap(({ scopeSpans }) => scopeSpans ?? [])
    .flatMap(({ spans }) => spans ?? []);
}

/** @returns null if it is no span. */
export function toSpan(sent: unknown): OtlpSpan | null {
  const { data: span } = Span.safeParse(sent);
  if (span === undefined) return null;
  return {
    traceId: idOf(span.traceId, 32),
    spanId: idOf(span.spanId, 16),
    startNs: timeOf(span.startTimeUnixNano),
    endNs: timeOf(span.endTimeUnixNano),
    isError: ERROR.includes(span.status?.code),
    attributes: toAttributes(span.attributes),
    events: (span.events ?? []).map(({ name, attributes }) => ({
      ...{ name: name ?? '', attributes: toAttributes(attributes) },
    })),
  };
}

function idOf(id: unknown, digits: number): string {
  if (typeof id !== 'string' || id.length !== digits || !/^[0-9a-fA-F]+$/.test(id)) return '';
  return /^0+$/.test(id) ? '' : id.toLowerCase();
}

/** Of 64 bits, as text or number; 0 is none. */
function timeOf(time: unknown): bigint | null {
  if (typeof time === 'number' && Number.isInteger(time) && time > 0) return BigInt(time);
  if (typeof time !== 'string' || !/^[0-9]{1,20}$/.test(time)) return null;
  const ns = BigInt(time);
  return ns === 0n ? null : ns;
}

function toAttributes(list: z.infer<typeof KeyValues>): Attributes {
  return new Map((list ?? []).map(({ key, value }) => [key ?? '', plain(value)]));
}

/** An AnyValue as JSON; null for what is none. Bounded in depth: the body is. */
function plain(value: unknown): unknown {
  if (!isObject(value)) return null;
  const { stringValue, boolValue, intValue, doubleValue, arrayValue, kvlistValue, bytesValue } =
    value;
  if (typeof stringValue === 'string') return stringValue;
  if (typeof boolValue === 'boolean') return boolValue;
  if (intValue !== undefined) return finite(intValue);
  if (doubleValue !== undefined) return finite(doubleValue);
  if (isObject(arrayValue)) return listOf(arrayValue['values']).map(plain);
  if (isObject(kvlistValue)) {
    const members = listOf(kvlistValue['values']).filter(isObject);
    return Object.fromEntries(members.map(({ key, value: of }) => [String(key), plain(of)]));
  }
  return typeof bytesValue === 'string' ? bytesValue : null;
}

/** JSON writes whole numbers of 64 bits as text, and what is no number too. */
function finite(value: unknown): number | null {
  const number = typeof value === 'string' && value !== '' ? Number(value) : value;
  return typeof number === 'number' && Number.isFinite(number) ? number : null;
}

function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
