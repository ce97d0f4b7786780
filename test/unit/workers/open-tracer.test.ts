import { openTracer } from '../../../workers/open-tracer';

const ENDPOINT = { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:4318' };
const open = (env: NodeJS.ProcessEnv) => openTracer(() => undefined, env);

test.each<[string, NodeJS.ProcessEnv]>([
  ['nothing is said', {}],
  ['an empty endpoint is', { OTEL_EXPORTER_OTLP_ENDPOINT: '' }],
  ['the exporter is none', { ...ENDPOINT, OTEL_TRACES_EXPORTER: 'none' }],
  ['the SDK is disabled', { ...ENDPOINT, OTEL_SDK_DISABLED: 'True' }],
])('there are no traces where %s', async (_, env) => {
  expect(await open(env)).toBeNull();
});

test.each<[NodeJS.ProcessEnv, RegExp]>([
  [{ OTEL_TRACES_EXPORTER: 'zipkin' }, /OTEL_TRACES_EXPORTER: expected otlp or none, got "zipkin"/],
  [
    { ...ENDPOINT, OTEL_EXPORTER_OTLP_PROTOCOL: 'grpc' },
    /expected http\/protobuf or http\/json.*got "grpc"/,
  ],
])('what could not be kept is refused', async (env, reason) => {
  await expect(open(env)).rejects.toThrow(reason);
});
