import { spawn, spawnSync, type ChildProcessByStdio } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { distPath } from '../../src/adapters/dist-path';

// Secrets of every kind, planted wherever an agent, a model or a person can put one, through `ratchet gateway` as a process. Afterwards every
// byte that it wrote is searched for them: the spool before it was drained, the store, the log and the metrics.

/** Each is found once as it is: nothing else in the test may look like it. */
const SECRETS = {
  email: 'wilhelmina.quist@example-mail.org',
  card: '5105105105105100',
  cardInGroups: '4012 8888 8888 1881',
  iban: 'GB33BUKB20201555555555',
  phone: '+442079460321',
  ip: '198.51.100.77',
  ip6: '2001:db8:7a11::5e2',
  openai: 'sk-proj-Zq81LmNoP2rStUvWxYz34567',
  github: 'ghp_Qw3rTyUiOpAsDfGhJkLzXcVbNm1234567890',
  aws: 'AKIAQ3EGXAMPLE7KEYID',
  jwt: 'eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiI5ODc2NTQzMjEwIn0.Yk3mJ0pQ7vX2sT9wL4nB8cR1dF6gH5jK',
  bearer: 'f00dBabe8675309cafeD00d',
  password: 'Tr0ub4dor&Zebra',
  pem: 'MIICdgIBADANBgkqhkiG9w0BAQEFAASCAmAwggJcAgEAAoGBAKx',
  denied: 'the-denied-value-4711',
  custom: 'TICK-90210',
} as const;
const PROSE = [
  `write to ${SECRETS.email} or ${SECRETS.phone}, card ${SECRETS.card} or ${SECRETS.cardInGroups}, IBAN ${SECRETS.iban}`,
  `from ${SECRETS.ip} and [${SECRETS.ip6}] with ${SECRETS.openai} ${SECRETS.github} ${SECRETS.aws} ${SECRETS.jwt} about ${SECRETS.custom}`,
  `Authorization: Bearer ${SECRETS.bearer}\npassword: "${SECRETS.password}"`,
  `-----BEGIN PRIVATE KEY-----\n${SECRETS.pem}\n-----END PRIVATE KEY-----`,
].join('\n');
const JSON_TEXT = JSON.stringify({
  note: PROSE,
  customer: { ssn: SECRETS.denied },
  [SECRETS.email]: 1,
});
const base64 = Buffer.from(PROSE).toString('base64');

let home: string;
let child: ChildProcessByStdio<null, Readable, Readable> | undefined;
let upstream: { readonly url: string; close(): void };
beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), 'ratchet-privacy-'));
  upstream = await echoUpstream();
  const config = {
    upstreams: { echo: { url: upstream.url, tokenIds: true } },
    models: { echo: [{ upstream: 'echo' }] },
    privacy: { deny: ['**.ssn'], patterns: [{ name: 'ticket', pattern: 'TICK-[0-9]+' }] },
  };
  await writeFile(join(home, 'gateway.json'), JSON.stringify(config));
});
afterAll(async () => {
  child?.kill('SIGKILL');
  upstream.close();
  await rm(home, { recursive: true, force: true });
});

/** Answers with what the last message said: by a text and by a tool call, in pieces of three characters where it streams. */
async function echoUpstream(): Promise<{ readonly url: string; close(): void }> {
  const server = createServer((request, response) => {
    void text(request).then((body) => {
      const { messages, stream } = JSON.parse(body) as {
        messages: { content: string }[];
        stream?: boolean;
      };
      const said = String(messages.at(-1)?.content);
      const call = {
        id: 'call_1',
        type: 'function',
        function: { name: 'note', arguments: JSON.stringify({ said }) },
      };
      const head = { id: 'chatcmpl-up', created: 1, model: 'echo' };
      const usage = { prompt_tokens: 1, completion_tokens: 1 };
      if (stream !== true) {
        const message = { role: 'assistant', content: said, tool_calls: [call] };
        const choice = {
          index: 0,
          message,
          finish_reason: 'tool_calls',
          token_ids: [7],
          logprobs: { content: [{ token: said.slice(0, 40), logprob: -1 }] },
        };
        response.writeHead(200, { 'content-type': 'application/json' });
        response.end(
          JSON.stringify({
            ...head,
            object: 'chat.completion',
            choices: [choice],
            usage,
            prompt_token_ids: [1, 2],
          }),
        );
        return;
      }
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      const send = (delta: object, rest = {}): void =>
        void response.write(
          `data: ${JSON.stringify({ ...head, object: 'chat.completion.chunk', choices: [{ index: 0, delta, ...rest }] })}\n\n`,
        );
      send({ role: 'assistant', content: '' });
      for (const piece of pieces(said)) send({ content: piece });
      send({ tool_calls: [{ index: 0, ...call, function: { name: 'note', arguments: '' } }] });
      for (const piece of pieces(call.function.arguments))
        send({ tool_calls: [{ index: 0, function: { arguments: piece } }] });
      send({}, { finish_reason: 'tool_calls' });
      response.end('data: [DONE]\n\n');
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`,
    close: () => void server.close(),
  };
}

function pieces(of: string): string[] {
  return of.match(/[\s\S]{1,3}/g) ?? [];
}

/** In what forms a secret may be written. */
function formsOf(secret: string): string[] {
  const forms = [secret, JSON.stringify(secret).slice(1, -1), encodeURIComponent(secret)];
  for (const before of ['', 'a', 'ab']) {
    // Its middle, which is the same whatever stands around it.
    const encoded = Buffer.from(before + secret)
      .toString('base64')
      .replace(/=+$/, '');
    const middle = encoded.slice(before === '' ? 0 : 4, -4);
    forms.push(middle, middle.replaceAll('+', '-').replaceAll('/', '_'));
  }
  return forms;
}

function tracesIn(bytes: string): string[] {
  return Object.entries(SECRETS)
    .filter(([, secret]) => formsOf(secret).some((form) => bytes.includes(form)))
    .map(([kind]) => kind);
}

async function bytesBelow(folder: string): Promise<string> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile());
  const texts = await Promise.all(
    files.map(({ parentPath, name }) => readFile(join(parentPath, name), 'latin1')),
  );
  return [...files.map(({ name }) => name), ...texts].join('\n');
}

test('planted secrets leave no trace in spool, store, log and metrics', async () => {
  const env = {
    ...process.env,
    ...{ RATCHET_HOME: home, RATCHET_GATEWAY_PORT: '0', RATCHET_SPOOL_SECONDS: '3600' },
    ...{
      RATCHET_GATEWAY_CONFIG: join(home, 'gateway.json'),
      RATCHET_LOG: 'json',
      RATCHET_LOG_LEVEL: 'debug',
    },
  };
  const cli = (...args: string[]): string => {
    const { stdout, stderr, status } = spawnSync(
      process.execPath,
      [distPath('workers/cli.js'), ...args],
      { env, encoding: 'utf8' },
    );
    if (status !== 0) throw new Error(stderr);
    return stdout.trim();
  };
  const key = cli('keys', 'create', '--role', 'agent', '--agent', 'desk');
  child = spawn(process.execPath, [distPath('workers/cli.js'), 'gateway'], {
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const log = text(child.stderr);
  const ended = once(child, 'close');
  const [ready] = (await once(child.stdout, 'data')) as [Buffer];
  const url = /http:\S+/.exec(ready.toString())?.[0] ?? '';

  const post = async (
    path: string,
    body: object,
    headers: Record<string, string> = {},
  ): Promise<string> => {
    const response = await fetch(`${url}${path}`, {
      method: 'POST',
      body: JSON.stringify(body),
      headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json', ...headers },
    });
    const answer = await response.text();
    expect([response.status, response.headers.get('x-ratchet-recorded'), answer]).toEqual([
      200,
      null,
      expect.any(String),
    ]);
    return answer;
  };
  const call = (id: string): object => ({
    id,
    type: 'function',
    function: { name: 'note', arguments: JSON_TEXT },
  });
  const messages = [
    { role: 'system', content: `You help. ${PROSE}`, name: SECRETS.email },
    {
      role: 'user',
      content: [
        { type: 'text', text: PROSE },
        { type: 'text', text: base64 },
      ],
    },
    { role: 'assistant', content: null, tool_calls: [call('call_a'), call('call_b')] },
    { role: 'tool', tool_call_id: 'call_a', content: JSON_TEXT },
    {
      role: 'tool',
      tool_call_id: 'call_b',
      content: JSON.stringify({ nested: JSON_TEXT, data: `data:text/plain;base64,${base64}` }),
    },
    { role: 'user', content: `https://example.org/?q=${encodeURIComponent(PROSE)}` },
  ];
  const last = { role: 'user', content: `again: ${PROSE}` };
  const tools = [{ type: 'function', function: { name: 'note', description: PROSE } }];
  const more = { user: SECRETS.email, metadata: { note: PROSE } };
  const base = { model: 'echo', messages: [...messages, last], tools, ...more };

  const whole = JSON.parse(await post('/v1/chat/completions', base)) as {
    choices: { message: { content: string } }[];
  };
  expect(whole.choices[0]?.message.content).toBe(last.content); // the agent itself loses nothing
  await post(
    '/v1/chat/completions',
    { ...base, stream: true },
    { 'x-ratchet-session': SECRETS.email },
  );
  await post('/v1/chat/completions', {
    ...base,
    n: 1,
    metadata: { session_id: `chat of ${SECRETS.email}` },
  });
  const feedback = {
    value: true,
    comment: PROSE,
    id: `from ${SECRETS.email}`,
    session: SECRETS.email,
  };
  await post('/v1/feedback', feedback);
  await post('/v1/feedback', feedback); // the same again is the same
  const unknown = await fetch(`${url}/v1/chat/completions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${key}` },
    body: JSON.stringify({ ...base, model: SECRETS.openai }),
  });
  expect(unknown.status).toBe(404);

  const spooled = await bytesBelow(join(home, 'spool'));
  expect(spooled).toContain('[email:');
  expect(tracesIn(spooled)).toEqual([]);
  const metrics = await (await fetch(`${url}/metrics`)).text();
  expect(metrics).toMatch(/^ratchet_redactions_total\{agent="desk",kind="card"\} [1-9]/m);
  expect(tracesIn(metrics)).toEqual([]);

  child.kill('SIGTERM');
  await ended;
  expect(tracesIn(await log)).toEqual([]);
  const stored = await bytesBelow(join(home, 'store'));
  expect(stored).toContain('"untrainable":"redacted"');
  expect(tracesIn(stored)).toEqual([]);
  // What an answer's id says in base64, and all that else looks like it.
  for (const run of stored.match(/[\w+/-]{12,}/g) ?? []) {
    for (const from of [0, 1, 2, 3]) {
      expect(tracesIn(Buffer.from(run.slice(from), 'base64').toString('latin1'))).toEqual([]);
    }
  }
}, 60_000);
