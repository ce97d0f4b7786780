import { createSpoolDrain } from '../../../src/gateway/recording/drain-spool';
import { mergeSessions, readLiveLines } from '../../../src/gateway/recording/live-segments';
import { createSpoolRecorder } from '../../../src/gateway/recording/spool-recorder';
import type { Spool } from '../../../src/gateway/recording/spool';
import { livePrefix } from '../../../src/storage/keys';
import type { ObjectStore } from '../../../src/storage/object-store';
import type { FlakyDisk } from '../../fakes/flaky-disk';
import { createFlakyDisk, errno } from '../../fakes/flaky-disk';
import { createMemoryObjectStore } from '../../fakes/memory-object-store';
import type { SpoolFixture } from '../../helpers/spools';
import { createSpoolFixture } from '../../helpers/spools';
import { NOW } from './gateway-fixture';
import { recordedCall } from './recorded-call';

const DAY = '2026-11-23';

let fixture: SpoolFixture;
let disk: FlakyDisk;
let store: ObjectStore;
let spool: Spool;
beforeEach(async () => {
  fixture = await createSpoolFixture();
  disk = createFlakyDisk();
  store = createMemoryObjectStore();
  ({ spool } = fixture.open({ disk }));
});
afterEach(async () => {
  await spool.close();
  await spool.release();
  await fixture.remove();
});

async function segments(agent = 'desk'): Promise<string[]> {
  const keys: string[] = [];
  for await (const { key } of store.list(livePrefix(agent))) keys.push(key);
  return keys;
}

async function drainAll(): Promise<void> {
  await spool.seal('now');
  await createSpoolDrain({ spool, store }).drain();
}

const intent = (id: string) => ({
  ...{ id, session: 'live/desk/s', agent: 'desk', model: 'ratchet/support' },
  at: new Date(NOW).toISOString(),
});

describe('the live recorder', () => {
  test('brings calls into the store as one segment per agent and hour of their own time', async () => {
    const recorder = createSpoolRecorder({ spool });
    await Promise.all(
      Array.from({ length: 50 }, (_, i) =>
        recorder.record(recordedCall({ id: `${i}` }, { session: `live/desk/${i % 5}` })),
      ),
    );
    await recorder.record(recordedCall({ id: 'x' }, { agent: 'other', session: 'live/other/1' }));
    const at = '2026-11-23T23:59:59.999Z'; // recorded long after
    await recorder.record(recordedCall({ id: 'late', at }, { session: 'live/desk/0' }));
    expect(await segments()).toEqual([]);
    await drainAll();
    expect(await fixture.logs()).toHaveLength(1); // the next one: what was drained is gone
    expect(await segments()).toEqual([
      expect.stringMatching(/^v1\/live\/desk\/2026-11-23\/12\/[0-9a-f]{16}-00000001\.jsonl$/),
      expect.stringMatching(/^v1\/live\/desk\/2026-11-23\/23\/[0-9a-f]{16}-00000001\.jsonl$/),
    ]);
    expect(await segments('other')).toHaveLength(1);
    const merged = mergeSessions(await readLiveLines(store, 'desk', DAY));
    expect(merged.trajectories.map(({ id, decisions }) => [id, decisions.length])).toEqual([
      ['live/desk/0', 11],
      ...[1, 2, 3, 4].map((i) => [`live/desk/${i}`, 10]),
    ]);
    expect([merged.messages.size, merged.toolsets.size]).toEqual([2, 1]);
    expect(merged.unresolved).toEqual([]);
  });

  test('resolves only when the fsync did', async () => {
    let land = (): void => undefined;
    disk.beforeDatasync = () => new Promise<void>((resolve) => (land = resolve));
    const recorder = createSpoolRecorder({ spool });
    let isRecorded = false;
    const recorded = recorder.record(recordedCall()).then(() => (isRecorded = true));
    while (disk.datasyncs === 0) await new Promise(setImmediate);
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(isRecorded).toBe(false);
    land();
    await recorded;
  });

  test('tells every call of a group that failed, and goes on', async () => {
    disk.beforeDatasync = () => Promise.reject(errno('EIO'));
    const recorder = createSpoolRecorder({ spool });
    const calls = await Promise.allSettled([
      recorder.record(recordedCall({ id: '1' })),
      recorder.record(recordedCall({ id: '2' })),
    ]);
    expect(calls.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
    disk.beforeDatasync = () => undefined;
    await recorder.record(recordedCall({ id: '3' }));
    await drainAll();
    const { trajectories } = mergeSessions(await readLiveLines(store, 'desk', DAY));
    expect(trajectories[0]?.decisions.map(({ id }) => id)).toEqual(['3']);
  });

  test('gives up on a disk that does not answer', async () => {
    let land = (): void => undefined;
    const landed = new Promise<void>((resolve) => (land = resolve));
    disk.beforeWrite = () => landed;
    const recorder = createSpoolRecorder({ spool, timeoutMs: 20 });
    await expect(recorder.record(recordedCall())).rejects.toThrow(/within 20 ms/);
    land();
  });

  test('shares the next fsync among all that comes while one is under way', async () => {
    let land = (): void => undefined;
    const landed = new Promise<void>((resolve) => (land = resolve));
    disk.beforeDatasync = () => landed;
    const recorder = createSpoolRecorder({ spool });
    const calls = [recorder.record(recordedCall({ id: '0' }))];
    while (disk.datasyncs === 0) await new Promise(setImmediate);
    for (let i = 1; i < 40; i++) {
      calls.push(recorder.record(recordedCall({ id: `${i}` })));
      await new Promise(setImmediate);
    }
    land();
    await Promise.all(calls);
    expect(disk.datasyncs).toBe(2);
    expect(disk.writes).toBe(disk.datasyncs);
    expect(spool.snapshot().groupSizes.reduce((sum, groups) => sum + groups, 0)).toBe(disk.writes);
    await drainAll();
    const { trajectories } = mergeSessions(await readLiveLines(store, 'desk', DAY));
    expect(trajectories[0]?.decisions).toHaveLength(40);
  });

  test('writes what is pending when the spool is closed, and nothing later', async () => {
    const recorder = createSpoolRecorder({ spool });
    const pending = recorder.record(recordedCall());
    await spool.close();
    await pending;
    await expect(recorder.record(recordedCall())).rejects.toThrow(/closed/);
    await createSpoolDrain({ spool, store }).drain();
    expect(await segments()).toHaveLength(1);
  });

  test('keeps each message and each list of tools once per file', async () => {
    const recorder = createSpoolRecorder({ spool });
    await recorder.record(recordedCall({ id: '1' }));
    const { appendedBytes: first } = spool.snapshot();
    await recorder.record(recordedCall({ id: '2' }));
    expect(spool.snapshot().appendedBytes - first).toBeLessThan(0.75 * first);
  });
});

describe('the intent of a live call', () => {
  test('is durable when it is open, and unresolved if its process dies before the decision', async () => {
    const dying = fixture.open();
    const recorder = createSpoolRecorder({ spool: dying.spool });
    for (const id of ['decided', 'failed', 'interrupted']) {
      await recorder.intents?.open(intent(id));
    }
    await recorder.record({ ...recordedCall({ id: 'a' }), intent: 'decided' });
    recorder.intents?.close('failed', 503);
    await recorder.record(recordedCall({ id: 'b' })); // in the group of that one, or a later one
    dying.kill();

    await createSpoolDrain({ spool, store }).drain();
    const merged = mergeSessions(await readLiveLines(store, 'desk', DAY));
    expect(merged.unresolved).toEqual([intent('interrupted')]);
    expect(merged.trajectories.flatMap(({ decisions }) => decisions.map(({ id }) => id))).toEqual([
      ...['a', 'b'],
    ]);
  });

  test('that landed after its caller had given it up is none: its call was answered unrecorded', async () => {
    const dying = fixture.open({ disk });
    let land = (): void => undefined;
    const landed = new Promise<void>((resolve) => (land = resolve));
    disk.beforeWrite = () => landed;
    const recorder = createSpoolRecorder({ spool: dying.spool, timeoutMs: 20 });
    await expect(recorder.intents?.open(intent('late'))).rejects.toThrow(/within 20 ms/);
    land();
    while (dying.spool.snapshot().appended === 0) await new Promise(setImmediate);
    await recorder.record(recordedCall()); // in the group of what follows from that, or a later one
    dying.kill();
    await createSpoolDrain({ spool, store }).drain();
    expect(mergeSessions(await readLiveLines(store, 'desk', DAY)).unresolved).toEqual([]);
  });

  test('of a call that goes on over several files is not unresolved before its process dies', async () => {
    const dying = fixture.open();
    const recorder = createSpoolRecorder({ spool: dying.spool });
    const drain = createSpoolDrain({ spool: dying.spool, store });
    await recorder.intents?.open(intent('slow'));
    for (const id of ['a', 'b', 'c']) {
      await recorder.record(recordedCall({ id }));
      await dying.spool.seal('now');
      await drain.drain();
    }
    const unresolved = async () =>
      mergeSessions(await readLiveLines(store, 'desk', DAY)).unresolved.map(({ id }) => id);
    expect(await unresolved()).toEqual([]);
    dying.kill();
    await createSpoolDrain({ spool, store }).drain();
    expect(await unresolved()).toEqual(['slow']);
  });
});
