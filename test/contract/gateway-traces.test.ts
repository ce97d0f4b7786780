import { createServer } from 'node:http';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { json } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import OpenAI from 'openai';
import {
  startUpstreamDouble,
  type UpstreamDouble,
} from '../../bench/support/upstream-double/start';
import { createLocalKeyFile } from '../../src/adapters/local-key-file/local-key-file';
import { createApiKey } from '../../src/gateway/keys/api-keys';
import { startGatewayProcess, type GatewayProcess } from '../helpers/gateway-process';
import { createLocalServers } from '../helpers/local-servers';
import { temporaryHome } from '../helpers/worker-process';

// A gateway process that exports its spans to a collector of ours, which takes OTLP as JSON.

const TRACE = '0af7651916cd43dd8448eb211c80319c';
const PARENT = 'b7ad6b7169203331';

interface OtlpSpan {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId?: string;
  readonly name: string;
  readonly attributes: readonly { readonly key: string; readonly value: object }[];
}
interface Export {
  readonly resourceSpans: readonly {
    readonly resource: { readonly attributes: readonly object[] };
    readonly scopeSpans: readonly { readonly spans: readonly OtlpSpan[] }[];
  }[];
}

const { listen, nobody, close } = createLocalServers();
let double: UpstreamDouble;
let gateway: GatewayProcess;
let folder: Awaited<ReturnType<typeof temporaryHome>>;

beforeEach(async () => {
  folder = await temporaryHome();
  double = await startUpstreamDouble();
});
afterEach(async () => {
  await gateway.end('SIGTERM');
  await double.close();
  await folder.remove();
});
afterAll(close);

/** @returns a client of the gateway, which exports to that URL. */
async function start(endpoint: string): Promise<OpenAI> {
  const { home } = folder;
  const config = join(home, 'gateway.json');
  const target = [{ upstream: 'double', model: 'gpt-4o' }];
  const upstreams = { double: { url: double.url, key: { env: 'DOUBLE_KEY' } } };
  await writeFile(config, JSON.stringify({ upstreams, models: { m: target } }));
  const { key } = await createApiKey(createLocalKeyFile(join(home, 'keys', 'api-keys.json')), {
    ...{ role: 'agent', agent: 'desk' },
  });
  gateway = await startGatewayProcess(home, 0, {
    ...{ RATCHET_GATEWAY_CONFIG: config, DOUBLE_KEY: 'double-key' },
    OTEL_EXPORTER_OTLP_ENDPOINT: endpoint,
    OTEL_EXPORTER_OTLP_PROTOCOL: 'http/json',
    OTEL_EXPORTER_OTLP_TIMEOUT: '500',
    OTEL_RESOURCE_ATTRIBUTES: 'deployment.environment.name=test',
    OTEL_BSP_SCHEDULE_DELAY: '50',
  });
  return new OpenAI({ baseURL: `${gateway.url}/v1`, apiKey: key, maxRetries: 0 });
}

const ask = (client: OpenAI, traceparent: string) =>
  client.chat.completions.create(
    { model: 'm', messages: [{ role: 'user', content: 'a secret question' }] },
    { headers: { traceparent } },
  );

async function until(isTrue: () => boolean, what: string): Promise<void> {
  for (let i = 0; !isTrue(); i++) {
    if (i > 500) throw new Error(`${what}: not within ten seconds`);
    await sleep(20);
  }
}

test('a call’s span goes on with its client’s trace, reaches a collector, and is what the upstream is told', async () => {
  const exports: Export[] = [];
  const collector = await listen(
    createServer((request, response) => {
      void json(request).then((body) => {
        if (request.url === '/v1/traces') exports.push(body as Export);
        response.writeHead(200, { 'content-type': 'application/json' }).end('{}');
      });
    }),
  );
  const client = await start(collector.replace(/\/v1$/, ''));
  const answer = await ask(client, `00-${TRACE}-${PARENT}-01`);
  // Whose client has decided that nothing of it is sampled.
  await ask(client, `00-${'c'.repeat(32)}-${PARENT}-00`);
  await until(() => exports.length > 0, 'an export');
  await gateway.end('SIGTERM');

  const [batch] = exports[0]?.resourceSpans ?? [];
  const spans = exports
    .flatMap(({ resourceSpans }) => resourceSpans)
    .flatMap(({ scopeSpans }) => scopeSpans.flatMap((scope) => scope.spans));
  expect(spans).toHaveLength(1);
  expect(spans[0]).toMatchObject({ traceId: TRACE, parentSpanId: PARENT, name: 'chat m' });
  const attributes = Object.fromEntries(
    (spans[0]?.attributes ?? []).map(({ key, value }) => [key, Object.values(value)[0] as unknown]),
  );
  expect(attributes).toMatchObject({
    'gen_ai.response.id': answer.id,
    'gen_ai.agent.name': 'desk',
    'ratchet.decision.id': expect.stringMatching(/^chatcmpl-/) as string,
    'ratchet.recorded': true,
  });
  expect(batch?.resource.attributes).toEqual(
    expect.arrayContaining([
      { key: 'service.name', value: { stringValue: 'ratchet-gateway' } },
      { key: 'deployment.environment.name', value: { stringValue: 'test' } },
    ]),
  );
  expect(double.requests[0]?.headers['traceparent']).toBe(`00-${TRACE}-${spans[0]?.spanId}-01`);
  expect(JSON.stringify(exports)).not.toContain('secret');
});

test.each([
  ['is not there', nobody],
  ['hangs', () => listen(createServer())],
] as const)('a collector that %s touches no call, and is said once', async (_, collector) => {
  const client = await start((await collector()).replace(/\/v1$/, ''));
  for (let i = 0; i < 20; i++) await ask(client, `00-${TRACE}-${PARENT}-01`);
  await until(() => gateway.log().includes('traces cannot be exported'), 'a line in the log');
  for (let i = 0; i < 5; i++) await ask(client, `00-${TRACE}-${PARENT}-01`);
  const startedAt = performance.now();
  await gateway.end('SIGTERM');
  expect(performance.now() - startedAt).toBeLessThan(8_000);
  expect(gateway.log().split('traces cannot be exported')).toHaveLength(2);
});
