import { NOW } from '../gateway-fixture';

/** A value as OTLP's JSON has it. */
export function anyValue(value: unknown): object {
  if (typeof value === 'string') return { stringValue: value };
  if (typeof value === 'boolean') return { boolValue: value };
  if (typeof value === 'number')
    return Number.isInteger(value) ? { intValue: String(value) } : { doubleValue: value };
  if (Array.isArray(value)) return { arrayValue: { values: value.map(anyValue) } };
  if (typeof value === 'object' && value !== null)
    return { kvlistValue: { values: keyValues(value) } };
  return {};
}

export function keyValues(attributes: object): object[] {
  return Object.entries(attributes).map(([key, value]) => ({ key, value: anyValue(value) }));
}

export interface SpanOptions {
  readonly traceId?: string;
  readonly spanId?: string;
  /** Milliseconds since 1970; 0 for a span that has not ended. */
  readonly endMs?: number;
  readonly name?: string;
  readonly events?: readonly { readonly name: string; readonly attributes: object }[];
}

/** A span of OTLP's JSON form that took a second and a half. */
export function span(attributes: object, options: SpanOptions = {}): object {
  const { traceId = 'ab'.repeat(16), spanId = 'cd'.repeat(8), endMs = NOW, events = [] } = options;
  const ns = (ms: number): string => (BigInt(ms) * 1_000_000n).toString();
  return {
    ...{ traceId, spanId, name: options.name ?? 'chat gpt-x', kind: 3 },
    ...{ startTimeUnixNano: ns(Math.max(0, endMs - 1_500)), endTimeUnixNano: ns(endMs) },
    attributes: keyValues(attributes),
    events: events.map(({ name, attributes: of }) => ({ name, attributes: keyValues(of) })),
  };
}

export function request(...spans: readonly object[]): object {
  return { resourceSpans: [{ resource: { attributes: [] }, scopeSpans: [{ spans }] }] };
}

export const text = (content: string): object => ({ type: 'text', content });

/** A model call by the conventions of now. */
export function chatAttributes(overrides: object = {}): object {
  return {
    'gen_ai.operation.name': 'chat',
    'gen_ai.provider.name': 'openai',
    'gen_ai.request.model': 'gpt-x',
    'gen_ai.response.model': 'gpt-x-2026',
    'gen_ai.response.id': 'chatcmpl-up',
    'gen_ai.response.finish_reasons': ['stop'],
    'gen_ai.conversation.id': 'talk-1',
    'gen_ai.request.temperature': 0.5,
    'gen_ai.usage.input_tokens': 12,
    'gen_ai.usage.output_tokens': 3,
    'gen_ai.system_instructions': JSON.stringify([text('be kind')]),
    'gen_ai.input.messages': JSON.stringify([{ role: 'user', parts: [text('why?')] }]),
    'gen_ai.output.messages': JSON.stringify([
      { role: 'assistant', parts: [text('because')], finish_reason: 'stop' },
    ]),
    ...overrides,
  };
}
