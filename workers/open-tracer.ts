import { z } from 'zod';
import { InvalidInputError } from '../src/errors';
import type { Tracer } from '../src/ports/tracer';

/** What of OpenTelemetry's variables decides whether there are traces, and in which form; the SDK reads the rest. Empty counts as unset. */
const Settings = z.object({
  OTEL_SDK_DISABLED: z.string().optional(),
  OTEL_TRACES_EXPORTER: z.enum(['', 'otlp', 'none']).optional(),
  OTEL_EXPORTER_OTLP_ENDPOINT: z.string().optional(),
  OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: z.string().optional(),
  OTEL_EXPORTER_OTLP_PROTOCOL: z.string().optional(),
  OTEL_EXPORTER_OTLP_TRACES_PROTOCOL: z.string().optional(),
});

const FORMS = { 'http/protobuf': 'protobuf', 'http/json': 'json' } as const;

/**
 * Traces are off unless OpenTelemetry's own variables ask for them: an OTLP endpoint, or `OTEL_TRACES_EXPORTER=otlp`. The SDK is loaded only then.
 *
 * @param warn told of exports that failed; they touch no call.
 * @throws {InvalidInputError} for a setting that could not be kept.
 */
export async function openTracer(
  warn: (line: string) => void,
  processEnv: NodeJS.ProcessEnv = process.env,
): Promise<Tracer | null> {
  const parsed = Settings.safeParse(processEnv);
  if (!parsed.success) {
    throw new InvalidInputError(
      `OTEL_TRACES_EXPORTER: expected otlp or none, got ${JSON.stringify(processEnv.OTEL_TRACES_EXPORTER)}`,
    );
  }
  const settings = parsed.data;
  const endpoint =
    settings.OTEL_EXPORTER_OTLP_TRACES_ENDPOINT || settings.OTEL_EXPORTER_OTLP_ENDPOINT;
  const isAsked = settings.OTEL_TRACES_EXPORTER || (endpoint ? 'otlp' : 'none');
  if (isAsked === 'none' || settings.OTEL_SDK_DISABLED?.toLowerCase() === 'true') return null;
  const protocol =
    settings.OTEL_EXPORTER_OTLP_TRACES_PROTOCOL ||
    settings.OTEL_EXPORTER_OTLP_PROTOCOL ||
    'http/protobuf';
  if (!Object.hasOwn(FORMS, protocol)) {
    throw new InvalidInputError(
      `traces leave by OTLP over HTTP only: expected http/protobuf or http/json in OTEL_EXPORTER_OTLP_TRACES_PROTOCOL, got ${JSON.stringify(protocol)}; OTEL_TRACES_EXPORTER=none turns them off`,
    );
  }
  const { createOtelTracer } = await import('../src/adapters/otel/otel-tracer.js');
  return createOtelTracer({
    form: FORMS[protocol as keyof typeof FORMS],
    service: 'ratchet-gateway',
    onError: (error) => warn(`traces cannot be exported; calls go on without them: ${error}`),
  });
}
