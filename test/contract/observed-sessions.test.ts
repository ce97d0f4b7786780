import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { distPath } from '../../src/adapters/dist-path';
import { readSnippets, runSnippet, type Snippet } from '../helpers/doc-snippets';
import { startGatewayProcess, type GatewayProcess } from '../helpers/gateway-process';
import { temporaryHome } from '../helpers/worker-process';
import { chatAttributes, request, span } from '../unit/gateway/traces/trace-body';

// What people do with sessions works for those that were only observed: the gateway and each command are processes of their own.

const SCRIPT = join(__dirname, '../helpers/clients/otlp-exporter.cjs');

let folder: Awaited<ReturnType<typeof temporaryHome>>;
let gateway: GatewayProcess;
let key: string;

beforeEach(async () => {
  folder = await temporaryHome();
  key = (await ratchet('keys', 'create', '--role', 'agent', '--agent', 'desk')).trim();
  gateway = await startGatewayProcess(folder.home, 0);
});
afterEach(async () => {
  await gateway.end('SIGTERM');
  await folder.remove();
});

async function run(program: string, ...args: string[]): Promise<string> {
  const env = { ...process.env, RATCHET_HOME: folder.home };
  return (await promisify(execFile)(process.execPath, [program, ...args], { env })).stdout;
}

const ratchet = (...args: string[]): Promise<string> => run(distPath('workers/cli.js'), ...args);

const emit = (kind: string, attributes: object, endMs = Date.now()): Promise<string> =>
  run(
    SCRIPT,
    `@opentelemetry/exporter-trace-otlp-${kind}`,
    `${gateway.url}/v1/traces`,
    key,
    JSON.stringify({ attributes, startMs: endMs - 250, endMs }),
  );

async function post(path: string, body: object): Promise<{ status: number; body: object }> {
  const headers = { authorization: `Bearer ${key}`, 'content-type': 'application/json' };
  const init = { method: 'POST', headers, body: JSON.stringify(body) };
  const response = await fetch(`${gateway.url}${path}`, init);
  return { status: response.status, body: (await response.json()) as object };
}

/** What `sessions list --json` says once so many calls have left the spool. */
async function listed(calls: number): Promise<{ readonly id: string; readonly calls: number }[]> {
  for (let i = 0; ; i++) {
    const lines = (await ratchet('sessions', 'list', '--agent', 'desk', '--json')).split('\n');
    const found = lines
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line) as { id: string; calls: number });
    if (found.reduce((sum, one) => sum + one.calls, 0) >= calls) return found;
    if (i > 30) throw new Error(`${calls} calls: not within half a minute`);
    await sleep(500);
  }
}

test('list, show, export, reindex, feedback and erase', async () => {
  const turn = (question: string, history: object[] = []): object => ({
    'gen_ai.input.messages': JSON.stringify([
      ...history,
      { role: 'user', parts: [{ type: 'text', content: question }] },
    ]),
  });
  const answer = [{ role: 'assistant', parts: [{ type: 'text', content: 'because' }] }];
  const first = [{ role: 'user', parts: [{ type: 'text', content: 'why?' }] }, ...answer];
  await emit('proto', chatAttributes(turn('why?')));
  await emit('http', chatAttributes({ ...turn('really?', first), 'gen_ai.response.id': 'up-2' }));

  expect(await listed(2)).toMatchObject([{ id: 'live/desk/talk-1', calls: 2, promptTokens: 24 }]);
  const tree = await ratchet('sessions', 'show', 'talk-1', '--agent', 'desk');
  expect(tree).toMatch(/openai\/gpt-x-2026 +observed +12\+3 tokens/);
  expect(tree).toContain('user: really?');
  const [line] = (await ratchet('sessions', 'export', '--agent', 'desk')).trim().split('\n');
  const exported = JSON.parse(line ?? '') as { trajectory: { decisions: object[] } };
  expect(exported.trajectory.decisions).toMatchObject([
    { policy: null, observed: { traceId: expect.any(String) as string }, link: { kind: 'first' } },
    { answer: { content: 'because' }, link: { kind: 'answer' } },
  ]);
  expect(await ratchet('sessions', 'reindex')).toBe(
    'desk: 1 hours, 0 segments were not listed and are now\n',
  );

  expect(await post('/v1/feedback', { session: 'talk-1', value: true })).toMatchObject({
    status: 200,
  });
  const byAnswer = { response_id: 'up-2', value: 0.5, comment: 'too short' };
  expect(await post('/v1/feedback', byAnswer)).toMatchObject({ status: 200 });
  const withFeedback = await ratchet('sessions', 'show', 'up-2', '--agent', 'desk');
  expect(withFeedback).toMatch(/^feedback +\S+ 1 /m);
  expect(withFeedback).toMatch(/feedback: \S+ 0.5 “too short”/);
  expect(await ratchet('store', 'verify', '--deep')).toContain('The store is whole.');

  // The gateway has nothing left to drain, and is not waited for.
  await ratchet('erase', '--session', 'talk-1', '--agent', 'desk');
  expect(await ratchet('sessions', 'list', '--agent', 'desk')).toContain('No session of desk');
  expect((await post('/v1/feedback', { session: 'talk-1', value: true })).status).toBe(410);
  // An exporter that sends it again does not bring it back.
  await emit('proto', chatAttributes(turn('why?')));
  await emit('proto', chatAttributes({ 'gen_ai.conversation.id': 'talk-2' }));
  expect(await listed(1)).toMatchObject([{ id: 'live/desk/talk-2' }]);
}, 120_000);

test('the lines of docs/traces.md are all it takes', async () => {
  const [snippet, ...others] = readSnippets('docs/traces.md');
  expect(others).toEqual([]);
  const access = { baseUrl: `${gateway.url}/v1`, apiKey: key };
  await runSnippet(snippet as Snippet, access);
  expect(await listed(1)).toMatchObject([{ id: 'live/desk/order-4711', calls: 1 }]);
  const shown = await ratchet('sessions', 'show', 'order-4711', '--agent', 'desk');
  expect(shown).toContain('user: Where is my parcel?');
  expect(shown).toContain('In Oslo.');
});

test('metrics count what became of the spans', async () => {
  const now = Date.now();
  const one = (n: number, attributes: object, endMs = now): object =>
    span(attributes, { endMs, spanId: String(n).padStart(16, '0') });
  const sent = request(
    ...[one(1, chatAttributes()), one(2, chatAttributes()), one(3, { 'http.route': '/' })],
    one(4, chatAttributes({ 'gen_ai.output.messages': '' })),
    one(5, chatAttributes(), 0),
  );
  expect((await post('/v1/traces', sent)).status).toBe(200);
  const text = await (await fetch(`${gateway.url}/metrics`)).text();
  const counted = [
    ...text.matchAll(/^ratchet_gateway_observed_spans_total\{outcome="(\w+)"\} (\d+)$/gm),
  ];
  expect(counted.map(([, outcome, count]) => [outcome, Number(count)])).toEqual([
    ['recorded', 2],
    ['silent', 1],
    ['rejected', 1],
    ['skipped', 1],
  ]);
});
