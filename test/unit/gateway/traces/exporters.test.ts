import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { serveGateway } from '../../../../src/gateway/http/serve';
import { NOW } from '../gateway-fixture';
import { chatAttributes } from './trace-body';
import { createTracesFixture } from './traces-fixture';

const SCRIPT = join(__dirname, '../../../helpers/clients/otlp-exporter.cjs');

test.each(['http', 'proto'])(
  'OpenTelemetry’s own exporter (%s, gzip) reaches the gateway',
  async (kind) => {
    const traces = await createTracesFixture();
    const server = await serveGateway(traces.gateway.app, {});
    try {
      const said = { attributes: chatAttributes(), startMs: NOW - 250, endMs: NOW };
      const { stdout } = await promisify(execFile)(process.execPath, [
        ...[SCRIPT, `@opentelemetry/exporter-trace-otlp-${kind}`, `${server.url}/v1/traces`],
        ...[traces.key, JSON.stringify(said)],
      ]);
      const [call, ...others] = await traces.calls();
      expect(others).toEqual([]);
      expect(call).toMatchObject({
        session: 'live/desk/talk-1',
        messages: [{ content: 'be kind' }, { content: 'why?' }],
        answer: { content: 'because' },
        decision: {
          ...{ latencyMs: 250, at: new Date(NOW).toISOString() },
          ...{ usage: { promptTokens: 12, completionTokens: 3 }, sampling: { temperature: 0.5 } },
          ...{ observed: JSON.parse(stdout) as object, sampled: { finishReason: 'stop' } },
        },
      });
    } finally {
      await server.close(0);
      await traces.close();
    }
  },
  30_000,
);
