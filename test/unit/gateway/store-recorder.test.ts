import { mergeSessions, readLiveLines } from '../../../src/gateway/live-segments';
import { createStoreRecorder } from '../../../src/gateway/store-recorder';
import { livePrefix } from '../../../src/storage/keys';
import type { ObjectStore } from '../../../src/storage/object-store';
import { createMemoryObjectStore } from '../../fakes/memory-object-store';
import { NOW } from './gateway-fixture';
import { recordedCall } from './recorded-call';

const DAY = '2026-11-23';

async function segments(store: ObjectStore, agent = 'desk'): Promise<string[]> {
  const keys: string[] = [];
  for await (const { key } of store.list(livePrefix(agent))) keys.push(key);
  return keys;
}

describe('the live recorder', () => {
  test('writes calls that come together as one segment per agent', async () => {
    const store = createMemoryObjectStore();
    const recorder = createStoreRecorder({ store, now: () => NOW });
    await Promise.all(
      Array.from({ length: 50 }, (_, i) =>
        recorder.record(recordedCall({ id: `${i}` }, { session: `live/desk/${i % 5}` })),
      ),
    );
    await recorder.record(recordedCall({ id: 'x' }, { agent: 'other', session: 'live/other/1' }));
    const keys = await segments(store);
    expect(keys).toHaveLength(1);
    expect(keys[0]).toMatch(/^v1\/live\/desk\/2026-11-23\/12\/[0-9]+-[0-9a-f-]+-0\.jsonl$/);
    expect(await segments(store, 'other')).toHaveLength(1);
    const { trajectories, messages, toolsets } = mergeSessions(
      await readLiveLines(store, 'desk', DAY),
    );
    expect(trajectories.map(({ id, decisions }) => [id, decisions.length])).toEqual(
      Array.from({ length: 5 }, (_, i) => [`live/desk/${i}`, 10]),
    );
    expect([messages.size, toolsets.size]).toEqual([2, 1]);
  });

  test('resolves only when the put did', async () => {
    const store = createMemoryObjectStore();
    let land = (): void => undefined;
    const slow: ObjectStore = {
      ...store,
      put: async (...put) => {
        await new Promise<void>((resolve) => (land = resolve));
        return store.put(...put);
      },
    };
    const recorder = createStoreRecorder({ store: slow, flushEveryMs: 1 });
    let isRecorded = false;
    const recorded = recorder.record(recordedCall()).then(() => (isRecorded = true));
    await new Promise((resolve) => setTimeout(resolve, 30));
    expect(isRecorded).toBe(false);
    land();
    await recorded;
    expect(await segments(store)).toHaveLength(1);
  });

  test('tells every call of a write that failed, and goes on', async () => {
    const store = createMemoryObjectStore();
    let isDown = true;
    const flaky: ObjectStore = {
      ...store,
      put: (...put) => (isDown ? Promise.reject(new Error('down')) : store.put(...put)),
    };
    const recorder = createStoreRecorder({ store: flaky });
    const calls = await Promise.allSettled([
      recorder.record(recordedCall({ id: '1' })),
      recorder.record(recordedCall({ id: '2' })),
    ]);
    expect(calls.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
    isDown = false;
    await recorder.record(recordedCall({ id: '3' }));
    expect(await segments(store)).toHaveLength(1);
  });

  test('gives up on a store that does not answer', async () => {
    const store = createMemoryObjectStore();
    const stuck: ObjectStore = { ...store, put: () => new Promise(() => undefined) };
    const recorder = createStoreRecorder({ store: stuck, timeoutMs: 20 });
    await expect(recorder.record(recordedCall())).rejects.toThrow(/within 20 ms/);
  });

  test('refuses at once when too much is waiting', async () => {
    const store = createMemoryObjectStore();
    const stuck: ObjectStore = { ...store, put: () => new Promise(() => undefined) };
    const recorder = createStoreRecorder({ store: stuck, timeoutMs: 50, maxPendingBytes: 10 });
    const first = recorder.record(recordedCall({ id: '1' }));
    await expect(recorder.record(recordedCall({ id: '2' }))).rejects.toThrow(/too much waits/);
    await expect(first).rejects.toThrow(/within 50 ms/);
    // What failed no longer waits: the next one is taken, and fails for its own reason.
    await expect(recorder.record(recordedCall({ id: '3' }))).rejects.toThrow(/within 50 ms/);
  });

  test('shares the next write among all that comes while the allowed ones are under way', async () => {
    const store = createMemoryObjectStore();
    let underWay = 0;
    let most = 0;
    const slow: ObjectStore = {
      ...store,
      put: async (...put) => {
        most = Math.max(most, ++underWay);
        await new Promise((resolve) => setTimeout(resolve, 5));
        underWay--;
        return store.put(...put);
      },
    };
    const recorder = createStoreRecorder({ store: slow, flushEveryMs: 0, maxWrites: 2 });
    const calls: Promise<void>[] = [];
    for (let i = 0; i < 40; i++) {
      calls.push(recorder.record(recordedCall({ id: `${i}` })));
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    await Promise.all(calls);
    expect(most).toBe(2);
    expect((await segments(store)).length).toBeLessThan(30);
    const day = new Date().toISOString().slice(0, 10);
    const { trajectories } = mergeSessions(await readLiveLines(store, 'desk', day));
    expect(trajectories[0]?.decisions).toHaveLength(40);
  });

  test('writes what is pending when it is closed, and nothing later', async () => {
    const store = createMemoryObjectStore();
    const recorder = createStoreRecorder({ store, flushEveryMs: 60_000 });
    const pending = recorder.record(recordedCall());
    await recorder.close();
    // Looked at before anything else is waited for: the batch's own time would come a minute later.
    expect(await segments(store)).toHaveLength(1);
    await pending;
    await expect(recorder.record(recordedCall())).rejects.toThrow(/closing/);
  });
});
