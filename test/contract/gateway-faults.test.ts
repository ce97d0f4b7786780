import { readFileSync } from 'node:fs';
import type { ServerResponse } from 'node:http';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { startUpstreamDouble } from '../../bench/support/upstream-double/start';
import type { Trouble } from '../../bench/support/upstream-double/trouble';
import { createHttpUpstreams } from '../../src/adapters/upstream-http/http-upstreams';
import { TransientError } from '../../src/errors';
import { serveGateway, type ServedGateway } from '../../src/gateway/http/serve';
import { createSpoolDrain } from '../../src/gateway/recording/drain-spool';
import { createSpoolRecorder } from '../../src/gateway/recording/spool-recorder';
import { createUpstreams } from '../../src/gateway/upstreams/upstreams';
import { GatewayConfig } from '../../src/schemas/gateway-config';
import { LiveLine } from '../../src/schemas/live-line';
import type { ObjectStore } from '../../src/storage/object-store';
import { readJsonLines } from '../../src/storage/json-objects';
import { livePrefix } from '../../src/storage/keys';
import { createFlakyDisk, errno, type FlakyDisk } from '../fakes/flaky-disk';
import { createMemoryObjectStore } from '../fakes/memory-object-store';
import { createLocalServers } from '../helpers/local-servers';
import { createSpoolFixture, type SpoolFixture } from '../helpers/spools';
import { createFixture } from '../unit/gateway/gateway-fixture';

// Each fault as clients see it: over HTTP, through a gateway with a spool, from an upstream over HTTP. What must be seen is written in
// docs/operations.md, and read from there: each word in backquotes is looked for where its column says.

const { nobody, serve, close: closeServers } = createLocalServers();
const transport = createHttpUpstreams();
let spools: SpoolFixture;
let served: ServedGateway | undefined;

beforeEach(async () => {
  spools = await createSpoolFixture();
});
afterEach(async () => {
  await served?.close(0);
  served = undefined;
  await spools.remove();
});
afterAll(async () => {
  await transport.close();
  closeServers();
});

const ROWS = rowsOf('faults');

/** The rows of a table of docs/operations.md, by their first cell. */
function rowsOf(name: string): ReadonlyMap<string, readonly string[]> {
  const page = readFileSync(join(__dirname, '../../docs/operations.md'), 'utf8');
  const table = page.split(`<!-- ${name} -->`)[1]?.split(`<!-- /${name} -->`)[0] ?? '';
  const rows = table
    .trim()
    .split('\n')
    .slice(2)
    .map((row) =>
      row
        .split('|')
        .slice(1, -1)
        .map((cell) => cell.trim()),
    );
  return new Map(rows.map(([fault = '', ...cells]) => [fault, cells]));
}

/** What stands in backquotes. */
const words = (cell = ''): string[] =>
  Array.from(cell.matchAll(/`([^`]+)`/g), ([, word = '']) => word);

interface Scene {
  readonly disk: FlakyDisk;
  /** What the object store does before each write. */
  readonly store: { isDown: boolean };
  /** Drains once; what fails is logged and counted. */
  readonly drain: () => Promise<void>;
  /** A call that is answered, and not looked at. */
  readonly call: (model: string) => Promise<void>;
}

interface Fault {
  readonly name: string;
  /** The model that is asked for. @default one that is well */
  readonly model?: string;
  readonly isStream?: boolean;
  /** Bytes that the spool may have. */
  readonly maxBytes?: number;
  readonly before?: (scene: Scene) => Promise<void> | void;
  /** The client closes its connection after the first bytes. */
  readonly leaves?: boolean;
  /** Before it is looked what is recorded. */
  readonly after?: (scene: Scene) => Promise<void> | void;
  /** Decisions of the call that are in the object store at the end. */
  readonly decisions: 0 | 1;
}

const trouble = (name: Trouble): string => `trouble/${name}`;

const FAULTS: readonly Fault[] = [
  {
    name: 'the spool is full',
    maxBytes: 1,
    before: ({ call }) => call('gpt-4o'),
    decisions: 0,
  },
  {
    name: 'its disk is full, or broken',
    before: ({ disk }) => void (disk.beforeWrite = () => Promise.reject(errno('ENOSPC'))),
    decisions: 0,
  },
  {
    name: 'the same, while an answer streams',
    isStream: true,
    before({ disk }) {
      // The intent is written, and nothing after it: neither in this file nor in the next one.
      disk.beforeWrite = () => (disk.writes > 1 ? Promise.reject(errno('ENOSPC')) : undefined);
    },
    decisions: 0,
  },
  {
    name: 'the object store is down',
    before: ({ store }) => void (store.isDown = true),
    async after({ store, drain }) {
      for (let i = 0; i < 3; i++) await drain();
      store.isDown = false;
    },
    decisions: 1,
  },
  { name: 'the upstream is not there', model: 'gone', decisions: 0 },
  { name: 'it hangs before it answers', model: trouble('hang'), decisions: 0 },
  { name: 'it hangs within an answer', model: trouble('hang-midway'), decisions: 0 },
  { name: 'it hangs within a stream', model: trouble('hang-midway'), isStream: true, decisions: 0 },
  { name: 'it resets the connection at once', model: trouble('reset'), decisions: 0 },
  { name: 'it resets it within an answer', model: trouble('reset-midway'), decisions: 0 },
  {
    name: 'it resets it within a stream',
    ...{ model: trouble('reset-midway'), isStream: true, decisions: 0 },
  },
  {
    name: 'its stream ends too early',
    ...{ model: trouble('end-early'), isStream: true, decisions: 0 },
  },
  { name: 'it answers what is not JSON', model: trouble('garbage'), decisions: 0 },
  { name: 'it answers JSON of another shape', model: 'odd', decisions: 0 },
  {
    name: 'its stream is none from the start',
    ...{ model: trouble('garbage'), isStream: true, decisions: 0 },
  },
  {
    name: 'its stream becomes garbage',
    ...{ model: trouble('garbage-midway'), isStream: true, decisions: 0 },
  },
  { name: 'it answers 429, and so does every other', model: trouble('429'), decisions: 0 },
  { name: 'it answers 429, and another one is well', model: 'busy-or-well', decisions: 1 },
  {
    name: 'it has failed five times in a row',
    model: trouble('500'),
    async before({ call }) {
      for (let i = 0; i < 5; i++) await call(trouble('500'));
    },
    decisions: 0,
  },
  {
    name: 'the client goes before the end',
    ...{ model: trouble('slow'), isStream: true, leaves: true, decisions: 0 },
  },
];

function config(url: string, gone: string, odd: string): GatewayConfig {
  const upstream = (at: string, more: object = {}): object => ({
    ...{ url: at, key: { env: 'KEY' } },
    timeouts: { firstByte: '300ms', idle: '300ms' },
    ...more,
  });
  const target = (model: string, name = 'up'): object => ({ upstream: name, model });
  const troubles = FAULTS.map(({ model }) => model ?? '').filter((m) => m.startsWith('trouble/'));
  return GatewayConfig.parse({
    upstreams: { up: upstream(url), gone: upstream(gone), odd: upstream(odd), well: upstream(url) },
    models: {
      'gpt-4o': [target('gpt-4o')],
      gone: [target('gpt-4o', 'gone')],
      odd: [target('gpt-4o', 'odd')],
      // Most conversations would be the first one's.
      'busy-or-well': [{ ...target(trouble('429')), weight: 1_000_000 }, target('gpt-4o', 'well')],
      ...Object.fromEntries(troubles.map((model) => [model, [target(model)]])),
    },
    retries: { attempts: 2, backOff: { first: '10ms' }, patience: '2s' },
  });
}

const oddAnswer = (response: ServerResponse): void =>
  void response
    .writeHead(200, { 'content-type': 'application/json' })
    .end('{"choices":{"not":"a list"}}');

async function decisionsIn(store: ObjectStore): Promise<number> {
  let decisions = 0;
  for await (const { key } of store.list(livePrefix('desk'))) {
    for (const line of await readJsonLines(store, key, LiveLine)) {
      if (line.type === 'trajectory') decisions += line.trajectory.decisions.length;
    }
  }
  return decisions;
}

/** What a client has of an answer, as text: its status, its headers and all that came, whether or not it ended as it should. */
async function readAsClient(answer: Response, leaves: boolean): Promise<string> {
  let text = `${answer.status} ${Array.from(answer.headers, ([k, v]) => `${k}: ${v}`).join('\n')}\n\n`;
  const reader = answer.body?.getReader();
  const decoder = new TextDecoder();
  for (;;) {
    const next = await reader?.read();
    if (next === undefined || next.done) return text;
    text += decoder.decode(next.value as Uint8Array, { stream: true });
    if (leaves) {
      await reader?.cancel();
      return text;
    }
  }
}

test('the table has a row for each of these faults, and no other', () => {
  expect([...ROWS.keys()]).toEqual(FAULTS.map(({ name }) => name));
});

test.each(FAULTS)(
  '$name: what clients see, what is recorded, and what operators are told',
  async (fault) => {
    const { name, model = 'gpt-4o', isStream = false, leaves = false, decisions } = fault;
    const double = await startUpstreamDouble({ retryAfterSeconds: 60, pauseMs: 50 });
    const disk = createFlakyDisk();
    const memory = createMemoryObjectStore();
    const state = { isDown: false };
    const store: ObjectStore = {
      ...memory,
      put: (...put) =>
        state.isDown
          ? Promise.reject(new TransientError('the store could not be reached'))
          : memory.put(...put),
    };
    const log: { readonly message: string }[] = [];
    const { maxBytes } = fault;
    const { spool } = spools.open({ disk, ...(maxBytes === undefined ? {} : { maxBytes }) });
    const drain = createSpoolDrain({ spool, store, log: (entry) => log.push(entry) });
    const upstreams = createUpstreams(
      config(double.url, await nobody(), await serve(oddAnswer)),
      new Map(['up', 'gone', 'odd', 'well'].map((upstream) => [upstream, 'double-key'])),
      transport,
    );
    const fixture = await createFixture({
      ...{ upstreams, now: Date.now },
      recorder: createSpoolRecorder({ spool }),
      spoolStatus: () => ({ spool: spool.snapshot(), drain: drain.snapshot() }),
      log: (entry) => log.push(entry),
    });
    const key = await fixture.key({ role: 'agent', agent: 'desk' });
    served = await serveGateway(fixture.app);
    const { url } = served;
    const ask = (asked: string, stream: boolean): Promise<Response> =>
      fetch(`${url}/v1/chat/completions`, {
        ...{ method: 'POST', headers: { authorization: `Bearer ${key}` } },
        body: JSON.stringify({ model: asked, stream, messages: [{ role: 'user', content: 'hi' }] }),
      });
    const samples = async (): Promise<Map<string, number>> => {
      const text = await (await fetch(`${url}/metrics`)).text();
      return new Map(
        Array.from(text.matchAll(/^(ratchet_\S+) (\S+)$/gm), ([, sample = '', value]) => [
          sample,
          Number(value),
        ]),
      );
    };
    const scene: Scene = {
      ...{ disk, store: state },
      async drain() {
        await spool.seal('now');
        await drain.drain().catch(() => undefined);
      },
      call: async (asked) => void (await (await ask(asked, false)).text()),
    };

    try {
      await fault.before?.(scene);
      const before = await samples();
      const [recordedBefore, logBefore] = [spool.snapshot().appended, log.length];
      const startedAt = performance.now();
      const seen = await readAsClient(await ask(model, isStream), leaves);
      // Whatever an upstream does, nobody waits for longer than the time-outs and the patience say.
      expect(performance.now() - startedAt).toBeLessThan(5_000);
      if (leaves) await sleep(300);
      await fault.after?.(scene);
      const after = await samples();

      const [client, , metric, logged] = ROWS.get(name) ?? [];
      for (const word of words(client)) expect(seen).toContain(word);
      expect(seen).toMatch(new RegExp(`^${/^\d+/.exec(client ?? '')?.[0] ?? '200'} `));
      // A stream that is not whole has no end that could be taken for one.
      const isWhole = decisions === 1 || /spool|disk|same/.test(name);
      if (isStream) expect(/finish_reason":\s*"stop"|\[DONE\]/.test(seen)).toBe(isWhole);
      if (decisions === 1) expect(seen).not.toContain('x-ratchet-recorded');
      const grown = [...after].filter(([sample, value]) => value > (before.get(sample) ?? 0));
      for (const word of words(metric)) {
        expect(grown.map(([sample]) => sample)).toContainEqual(expect.stringContaining(word));
      }
      const told = log.slice(logBefore).map(({ message }) => message);
      for (const word of words(logged)) expect(told).toContainEqual(expect.stringContaining(word));
      if (words(logged).length === 0) expect(told).toEqual([]);

      disk.beforeWrite = () => undefined;
      await scene.drain();
      const earlier = name === 'the spool is full' ? 1 : 0; // the call that filled it
      expect((await decisionsIn(memory)) - earlier).toBe(decisions);
      expect(spool.snapshot().appended - recordedBefore).toBeGreaterThanOrEqual(decisions);
    } finally {
      await served.close(0);
      served = undefined;
      await drain.close(1_000);
      await double.close();
    }
  },
);
