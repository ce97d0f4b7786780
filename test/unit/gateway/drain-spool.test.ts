import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { localDisk } from '../../../src/adapters/spool/disk';
import { encodeHead } from '../../../src/adapters/spool/log-file';
import { TransientError } from '../../../src/errors';
import type { DrainLog } from '../../../src/gateway/recording/drain-spool';
import { createSpoolDrain } from '../../../src/gateway/recording/drain-spool';
import type { LiveHour } from '../../../src/schemas/live-hour';
import { mergeSessions, readLiveLines } from '../../../src/gateway/recording/live-segments';
import type { Spool } from '../../../src/gateway/recording/spool';
import { createSpoolRecorder } from '../../../src/gateway/recording/spool-recorder';
import type { ObjectStore } from '../../../src/storage/object-store';
import { dyingStore } from '../../fakes/dying-store';
import { createFlakyDisk, errno } from '../../fakes/flaky-disk';
import { createMemoryObjectStore } from '../../fakes/memory-object-store';
import type { SpoolFixture } from '../../helpers/spools';
import { createSpoolFixture } from '../../helpers/spools';
import { NOW } from './gateway-fixture';
import { recordedCall } from './recorded-call';

const DAY = '2026-11-23';

let fixture: SpoolFixture;
let store: ObjectStore;
const closing: Spool[] = [];
beforeEach(async () => {
  fixture = await createSpoolFixture();
  store = createMemoryObjectStore();
});
afterEach(async () => {
  for (const spool of closing.splice(0)) {
    await spool.close();
    await spool.release();
  }
  await fixture.remove();
});

function open(options: Parameters<SpoolFixture['open']>[0] = {}) {
  const opened = fixture.open(options);
  closing.push(opened.spool);
  return opened;
}

async function contents(of: ObjectStore): Promise<Record<string, string>> {
  const all: Record<string, string> = {};
  for await (const { key } of of.list('')) {
    all[key] = new TextDecoder().decode((await of.get(key)).bytes);
  }
  return all;
}

const ids = async (agent = 'desk'): Promise<string[]> =>
  mergeSessions(await readLiveLines(store, agent, DAY)).trajectories.flatMap(({ decisions }) =>
    decisions.map(({ id }) => id),
  );

/** Two agents, two hours, three files and a call that is never answered; then its process dies. */
async function diedWithALot(): Promise<void> {
  const { spool, kill } = open();
  const recorder = createSpoolRecorder({ spool });
  const call = { session: 'live/desk/s', agent: 'desk', model: 'ratchet/support' };
  await recorder.intents?.open({ ...call, id: 'unanswered', at: new Date(NOW).toISOString() });
  for (let file = 0; file < 3; file++) {
    for (const agent of ['desk', 'other']) {
      for (const hour of [12, 13]) {
        const at = `2026-11-23T${hour}:00:00.000Z`;
        const id = `${agent}-${hour}-${file}`;
        await recorder.record(recordedCall({ id, at }, { agent, session: `live/${agent}/s` }));
      }
    }
    await spool.seal('now');
  }
  kill();
}

test('the other choices of an answer are in the segment too', async () => {
  const { spool } = open();
  const call = recordedCall({ alternatives: ['second'] });
  const second = { role: 'assistant' as const, content: 'or so' };
  const messages = new Map([...call.messages, ['second', second] as const]);
  await createSpoolRecorder({ spool }).record({ ...call, messages });
  await spool.seal('now');
  await createSpoolDrain({ spool, store }).drain();
  const merged = mergeSessions(await readLiveLines(store, 'desk', DAY));
  expect(merged.messages.get('second')).toEqual(second);
});

test('token ids and log-probabilities reach the segment as they were recorded, in whatever order they were written', async () => {
  const { spool } = open();
  const tokens = { prompt: [1, 2, 3], completion: [4, 5], logprobs: [-0.5, -1.25e-8] };
  const { prompt, ...rest } = tokens;
  const sampled = { kind: 'text', finishReason: 'stop' } as const;
  const recorder = createSpoolRecorder({ spool });
  await recorder.record(recordedCall({ id: 'a', sampled: { ...sampled, tokens } }));
  const turned = { ...rest, prompt };
  await recorder.record(recordedCall({ id: 'b', sampled: { ...sampled, tokens: turned } }));
  await spool.append({
    text: JSON.stringify({
      ...{ type: 'decision', agent: 'desk', session: 's' }, // another order
      decision: recordedCall({ id: 'c', sampled: { ...sampled, tokens } }).decision,
    }),
  });
  await spool.seal('now');
  await createSpoolDrain({ spool, store }).drain();
  const merged = mergeSessions(await readLiveLines(store, 'desk', DAY));
  const decisions = merged.trajectories.flatMap((trajectory) => trajectory.decisions);
  expect(decisions.map((one) => [one.id, one.sampled])).toEqual(
    ['a', 'b', 'c'].map((id) => [id, { ...sampled, tokens }]),
  );
});

describe('a drain that is killed', () => {
  test.each([false, true])(
    'at any put (answer lost: %s) is repeated to the same objects with the same bytes',
    async (answerLost) => {
      await diedWithALot();
      const unbroken = createMemoryObjectStore();
      const copies = await fixture.logs();
      const saved = await Promise.all(copies.map((log) => readFile(join(fixture.root, log))));
      const first = open();
      await createSpoolDrain({ spool: first.spool, store: unbroken }).drain();
      const expected = await contents(unbroken);
      const hours = Object.keys(expected).filter((key) => key.startsWith('v1/live-hours/'));
      expect(hours).toHaveLength(4);
      const segments = Object.keys(expected).length - hours.length;
      expect(segments).toBe(13); // 3 files of 2 agents and 2 hours, and the call that was open
      expect(await fixture.logs()).toEqual([]);

      for (let puts = 0; puts < 2 * segments; puts++) {
        for (const [i, log] of copies.entries()) {
          await localDisk.makeFolder(join(fixture.root, log, '..'));
          await writeFile(join(fixture.root, log), saved[i] ?? '');
        }
        store = createMemoryObjectStore();
        const dying = open();
        const drain = createSpoolDrain({
          spool: dying.spool,
          store: dyingStore(store, { puts, answerLost }),
        });
        await expect(drain.drain()).rejects.toThrow('the process died');
        dying.kill();
        const next = open();
        await createSpoolDrain({ spool: next.spool, store }).drain();
        expect(await contents(store)).toEqual(expected);
        expect(await fixture.logs()).toEqual([]);
      }
    },
  );

  test('at any removal is repeated to the same objects', async () => {
    await diedWithALot();
    let removals = 0;
    let expected: Record<string, string> | null = null;
    for (let dieAt = 1; ; dieAt++) {
      removals = 0;
      const { spool, kill } = open({
        disk: {
          ...localDisk,
          async remove(path) {
            if (path.endsWith('.log') && ++removals === dieAt) throw new Error('the process died');
            await localDisk.remove(path);
          },
        },
      });
      const done = await createSpoolDrain({ spool, store })
        .drain()
        .then(
          () => true,
          () => false,
        );
      kill();
      if (done) break;
      expected = await contents(store);
    }
    expect(await contents(store)).toEqual(expected);
    expect(mergeSessions(await readLiveLines(store, 'desk', DAY)).unresolved).toMatchObject([
      { id: 'unanswered' },
    ]);
  });
});

describe('a store that is down', () => {
  test('is asked again, ever more slowly, while the spool keeps all and calls go on', async () => {
    let isDown = true;
    const asked: number[] = [];
    const flaky: ObjectStore = {
      ...store,
      put: (...put) => {
        if (!isDown) return store.put(...put);
        asked.push(performance.now());
        return Promise.reject(new TransientError('down'));
      },
    };
    const { spool } = open({ maxFileAgeMs: 1 });
    const recorder = createSpoolRecorder({ spool });
    const log: DrainLog[] = [];
    const drain = createSpoolDrain({
      ...{ spool, store: flaky, everyMs: 5, backoffMs: 10, maxBackoffMs: 200 },
      log: (line) => log.push(line),
    });
    await recorder.record(recordedCall({ id: 'a' }));
    drain.start();
    while (asked.length < 5) await new Promise((resolve) => setTimeout(resolve, 5));
    await recorder.record(recordedCall({ id: 'b' }));
    expect(drain.snapshot()).toMatchObject({ decisions: 0 });
    expect(drain.snapshot().failuresInARow).toBeGreaterThanOrEqual(5);
    expect(log[0]).toMatchObject({ level: 'warn', error: 'down' });
    const gaps = asked.slice(1).map((at, i) => at - (asked[i] ?? 0));
    // 10 ms, doubled each time, give or take a quarter; a busy machine only adds to that.
    for (const [i, gap] of gaps.slice(0, 4).entries()) {
      expect(gap).toBeGreaterThan(0.75 * 10 * 2 ** i - 2);
    }

    isDown = false;
    while (drain.snapshot().decisions < 2) await new Promise((resolve) => setTimeout(resolve, 5));
    await drain.close(1_000);
    expect(await ids()).toEqual(['a', 'b']);
    expect(drain.snapshot().failuresInARow).toBe(0);
  });

  test('does not hold up the end of a process for longer than its grace time; the next one drains', async () => {
    const { spool, kill } = fixture.open();
    await createSpoolRecorder({ spool }).record(recordedCall({ id: 'a' }));
    const stuck: ObjectStore = { ...store, put: () => new Promise(() => undefined) };
    const startedAt = performance.now();
    await createSpoolDrain({ spool, store: stuck }).close(50);
    expect(performance.now() - startedAt).toBeLessThan(2_000);
    kill();
    await createSpoolDrain({ spool: open().spool, store }).drain();
    expect(await ids()).toEqual(['a']);
  });
});

test('a process that ends in peace leaves neither a file nor a folder', async () => {
  const { spool } = fixture.open();
  await createSpoolRecorder({ spool }).record(recordedCall({ id: 'a' }));
  await createSpoolDrain({ spool, store }).close(5_000);
  expect(await ids()).toEqual(['a']);
  expect(await localDisk.list(fixture.root)).toEqual([]);
});

test('a full disk does not stop what makes room on it', async () => {
  const disk = createFlakyDisk();
  const { spool } = open({ disk });
  const recorder = createSpoolRecorder({ spool });
  await recorder.record(recordedCall({ id: 'a' }));
  await spool.seal('now');
  await recorder.record(recordedCall({ id: 'b' }));
  disk.beforeWrite = () => Promise.reject(errno('ENOSPC'));
  await expect(recorder.record(recordedCall({ id: 'c' }))).rejects.toThrow(/disk is full/);
  await expect(createSpoolDrain({ spool, store }).drain()).rejects.toThrow(/disk is full/); // to end the broken file
  expect(await ids()).toEqual(['a']);
  disk.beforeWrite = () => undefined;
  await createSpoolDrain({ spool, store }).drain();
  expect(await ids()).toEqual(['a', 'b']);
});

describe('what cannot be used', () => {
  test('is an entry whose message has decayed: it is quarantined with it, and said', async () => {
    const { spool, kill } = open();
    const recorder = createSpoolRecorder({ spool });
    await recorder.record(recordedCall({ id: 'a' }));
    const lonely = recordedCall({ id: 'b', context: ['odd'] });
    await recorder.record({
      ...lonely,
      messages: new Map([...lonely.messages, ['odd', { role: 'user', content: 'odd one out' }]]),
    });
    kill();
    const [path = ''] = await fixture.logs();
    const bytes = await readFile(join(fixture.root, path));
    bytes.writeUInt8(0x21, bytes.indexOf('odd one out'));
    await writeFile(join(fixture.root, path), bytes);

    const log: DrainLog[] = [];
    const next = open();
    await createSpoolDrain({ spool: next.spool, store, log: (line) => log.push(line) }).drain();
    expect(await ids()).toEqual(['a']);
    expect(next.spool.snapshot().quarantined).toBe(2);
    const kept = (await localDisk.list(join(fixture.root, 'quarantine'))) ?? [];
    const entries = kept.find((name) => name.endsWith('-entries')) ?? '';
    expect(await readFile(join(fixture.root, 'quarantine', entries), 'utf8')).toContain('"id":"b"');
    expect(log).toMatchObject([
      { level: 'error', message: expect.stringMatching(/quarantine/) as unknown },
    ]);
  });

  test('is a file of a later version: its folder waits, and all others are drained', async () => {
    const dead = open();
    await createSpoolRecorder({ spool: dead.spool }).record(recordedCall({ id: 'a' }));
    dead.kill();
    const [path = ''] = await fixture.logs();
    const later = { formatVersion: 2 as never, name: 'x', previous: null };
    await writeFile(join(fixture.root, path), encodeHead(later));

    const { spool } = open();
    await createSpoolRecorder({ spool }).record(recordedCall({ id: 'b' }));
    await spool.seal('now');
    const drain = createSpoolDrain({ spool, store });
    await expect(drain.drain()).rejects.toThrow(/formatVersion 1/);
    expect(await ids()).toEqual(['b']);
    expect(await fixture.logs()).toContain(path);
  });
});

test('a segment that was drained before with other bytes stays, and these go beside it', async () => {
  const { spool, kill } = open();
  const recorder = createSpoolRecorder({ spool });
  for (const id of ['a', 'b']) await recorder.record(recordedCall({ id }));
  kill();
  const [path = ''] = await fixture.logs();
  const whole = await readFile(join(fixture.root, path));
  await createSpoolDrain({ spool: open().spool, store }).drain();
  const first = await contents(store);

  await localDisk.makeFolder(join(fixture.root, path, '..'));
  whole.writeUInt8(0x21, whole.lastIndexOf('"id":"b"')); // it decays after that
  await writeFile(join(fixture.root, path), whole);
  const drain = createSpoolDrain({ spool: open().spool, store });
  await drain.drain();
  expect(drain.snapshot().conflicts).toBe(1);
  const second = await contents(store);
  const [segment = ''] = Object.keys(first).filter((key) => key.startsWith('v1/live/'));
  expect(second[segment]).toBe(first[segment]);
  expect(await ids()).toEqual(['a', 'b']); // each counts once
  const hour = JSON.parse(second['v1/live-hours/desk/2026-11-23/12.json'] ?? '') as LiveHour;
  expect(hour.segments.map(({ decisions }) => decisions)).toEqual([1, 2]);
});

test('from half full on it is said once that draining is behind', async () => {
  const log: DrainLog[] = [];
  const { spool } = open({ maxBytes: 1_000 });
  const down: ObjectStore = { ...store, put: () => Promise.reject(new TransientError('down')) };
  const drain = createSpoolDrain({ spool, store: down, log: (line) => log.push(line) });
  await createSpoolRecorder({ spool }).record(recordedCall({ id: 'a' }));
  await spool.seal('now');
  for (let i = 0; i < 3; i++) await drain.drain().catch(() => undefined);
  const behind = log.filter(({ message }) => message.startsWith('draining is behind'));
  expect(behind).toHaveLength(1);
  await rm(fixture.root, { recursive: true, force: true });
});
