import {
  ROOT_CONTEXT,
  SpanKind,
  SpanStatusCode,
  trace,
  type TextMapGetter,
} from '@opentelemetry/api';
import { ExportResultCode, W3CTraceContextPropagator } from '@opentelemetry/core';
import { OTLPTraceExporter as JsonExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { OTLPTraceExporter as ProtobufExporter } from '@opentelemetry/exporter-trace-otlp-proto';
import {
  defaultResource,
  detectResources,
  envDetector,
  resourceFromAttributes,
} from '@opentelemetry/resources';
import {
  BasicTracerProvider,
  BatchSpanProcessor,
  type SpanExporter,
} from '@opentelemetry/sdk-trace-base';
import type { Attribute, Tracer } from '../../ports/tracer';

export interface OtelTracerOptions {
  readonly form: 'json' | 'protobuf';
  /** What `service.name` is where OTEL_SERVICE_NAME does not say it. */
  readonly service: string;
  /** Told of exports that failed: the first, and then at most one a minute. */
  readonly onError: (error: string) => void;
}

const ERROR_EVERY_MS = 60_000;
const CLOSE_MS = 2_000;

type Header = (name: string) => string | undefined;

const GETTER: TextMapGetter<Header> = {
  get: (header, name) => header(name),
  keys: () => ['traceparent', 'tracestate'],
};

/**
 * Exports spans by OTLP over HTTP, where and how the standard OTEL_… variables of this process say: the SDK reads them itself. Spans wait in
 * a bounded queue, and leave in the background; what finds it full, or cannot be exported, is lost, and nothing else is.
 */
export function createOtelTracer({ form, service, onError }: OtelTracerOptions): Tracer {
  const exporter = form === 'json' ? new JsonExporter() : new ProtobufExporter();
  const provider = new BasicTracerProvider({
    resource: defaultResource()
      .merge(resourceFromAttributes({ 'service.name': service }))
      .merge(detectResources({ detectors: [envDetector] })),
    spanProcessors: [new BatchSpanProcessor(reporting(exporter, onError))],
  });
  const tracer = provider.getTracer('ratchet');
  const propagator = new W3CTraceContextPropagator();

  return {
    start(name, header) {
      const parent = propagator.extract(ROOT_CONTEXT, header, GETTER);
      const span = tracer.startSpan(name, { kind: SpanKind.SERVER }, parent);
      const headers: Record<string, string> = {};
      propagator.inject(trace.setSpan(parent, span), headers, {
        set: (carrier: Record<string, string>, key, value) => void (carrier[key] = value),
      });
      return {
        headers,
        rename: (to) => void span.updateName(to),
        set: (attributes) => void span.setAttributes(mutable(attributes)),
        end(error) {
          if (error !== undefined) span.setStatus({ code: SpanStatusCode.ERROR, message: error });
          span.end();
        },
      };
    },
    async close() {
      let timer: NodeJS.Timeout | undefined;
      const late = new Promise<void>((resolve) => (timer = setTimeout(resolve, CLOSE_MS)));
      // What failed to be exported has been told.
      await Promise.race([provider.shutdown().catch(() => undefined), late]);
      clearTimeout(timer);
    },
  };
}

/** The SDK's types want arrays that it could change. */
function mutable(
  attributes: Readonly<Record<string, Attribute>>,
): Record<string, string | number | boolean | string[]> {
  return attributes as Record<string, string | number | boolean | string[]>;
}

function reporting(exporter: SpanExporter, onError: (error: string) => void): SpanExporter {
  let toldAt = -Infinity;
  return {
    export(spans, done) {
      exporter.export(spans, (result) => {
        const now = performance.now();
        if (result.code === ExportResultCode.FAILED && now - toldAt > ERROR_EVERY_MS) {
          toldAt = now;
          onError(`${spans.length} spans: ${result.error?.message ?? 'no reason given'}`);
        }
        done(result);
      });
    },
    shutdown: () => exporter.shutdown(),
    forceFlush: () => exporter.forceFlush?.() ?? Promise.resolve(),
  };
}
