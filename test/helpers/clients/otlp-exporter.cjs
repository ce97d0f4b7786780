'use strict';
// Emits one span with OpenTelemetry's own exporter, which Jest cannot load: it imports as it goes.
// Arguments: the exporter's package, the URL, the key, the span as JSON ({attributes, startMs, endMs}). Prints its ids as JSON.

const { BasicTracerProvider, SimpleSpanProcessor } = require('@opentelemetry/sdk-trace-base');

async function main([pkg, url, key, json]) {
  const { OTLPTraceExporter } = require(pkg);
  const exporter = new OTLPTraceExporter({
    ...{ url, compression: 'gzip' },
    headers: { authorization: `Bearer ${key}` },
  });
  const provider = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] });
  const { attributes, startMs, endMs } = JSON.parse(json);
  const span = provider.getTracer('agent').startSpan('chat', { startTime: startMs, attributes });
  span.end(endMs);
  await provider.forceFlush();
  await provider.shutdown();
  const { traceId, spanId } = span.spanContext();
  process.stdout.write(JSON.stringify({ traceId, spanId }));
}

void main(process.argv.slice(2));
