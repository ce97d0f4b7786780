import { NotFoundError, TransientError } from '../../../src/errors';
import { kindOfKey, observeStore } from '../../../src/storage/observed-store';
import { createMemoryObjectStore } from '../../fakes/memory-object-store';
import { createRecordingMeter } from '../../fakes/recording-meter';

const SEGMENT = 'v1/runs/desk.abc/000002/trajectories/s0-1.jsonl';
const ROUTING = 'v1/policies/desk/routing.json';

describe('an observed store', () => {
  it('counts what was asked for, of what kind, and how it ended', async () => {
    const meter = createRecordingMeter();
    const store = observeStore(createMemoryObjectStore(), meter);
    await store.put(SEGMENT, Buffer.from('12345'));
    const twice = async function* (): AsyncGenerator<Uint8Array> {
      yield Buffer.from('123');
      yield Buffer.from('45');
    };
    await store.put(SEGMENT, twice());
    await store.put(ROUTING, Buffer.from('{}'), { ifAbsent: true });
    await store.put(ROUTING, Buffer.from('{}'), { ifAbsent: true }); // lost
    await store.get(ROUTING);
    await store.head('v1/policies/other/routing.json');
    await expect(store.get('v1/blobs/none')).rejects.toThrow(NotFoundError);
    for await (const chunk of store.getStream(SEGMENT)) expect(chunk.byteLength).toBe(5);
    for await (const { key } of store.list('v1/')) {
      expect(key).toBe(ROUTING);
      break; // a consumer that has what it wanted
    }
    await store.delete(SEGMENT);
    expect(Object.fromEntries(meter.counts)).toEqual({
      'storeOperations{kind=trajectories,operation=put,outcome=ok}': 2,
      'storeOperations{kind=policies,operation=put,outcome=ok}': 1,
      'storeOperations{kind=policies,operation=put,outcome=lost}': 1,
      'storeOperations{kind=policies,operation=get,outcome=ok}': 1,
      'storeOperations{kind=policies,operation=head,outcome=absent}': 1,
      'storeOperations{kind=blobs,operation=get,outcome=notfound}': 1,
      'storeOperations{kind=trajectories,operation=getStream,outcome=ok}': 1,
      'storeOperations{kind=all,operation=list,outcome=ok}': 1,
      'storeOperations{kind=trajectories,operation=delete,outcome=ok}': 1,
      'storeSeconds{operation=put}': 4,
      'storeSeconds{operation=get}': 2,
      'storeSeconds{operation=head}': 1,
      'storeSeconds{operation=getStream}': 1,
      'storeSeconds{operation=list}': 1,
      'storeSeconds{operation=delete}': 1,
      'storeWrittenBytes{kind=trajectories}': 10,
      'storeWrittenBytes{kind=policies}': 2, // what was lost was not written
    });
  });

  it('hands on the very error that the store threw, and counts its class', async () => {
    const meter = createRecordingMeter();
    const down = new TransientError('the store is down');
    const store = observeStore(
      { ...createMemoryObjectStore(), put: () => Promise.reject(down) },
      meter,
    );
    await expect(store.put(ROUTING, Buffer.from('{}'))).rejects.toBe(down);
    expect([...meter.counts.keys()]).toEqual([
      'storeOperations{kind=policies,operation=put,outcome=transient}',
      'storeSeconds{operation=put}',
    ]);
  });
});

describe('the kind of a key', () => {
  it.each([
    ['v1/blobs/0123', 'blobs'],
    ['v1/checkpoints/0123/manifest.json', 'checkpoints'],
    ['v1/runs/desk.abc/000002/rewards/1.jsonl', 'rewards'],
    ['v1/runs/desk.abc/000002/state/1.bin', 'state'],
    ['v1/runs/', 'runs'],
    ['v1/live/desk/2026-11-25/', 'live'],
    ['v1/', 'all'],
    ['', 'all'],
  ])('of %s is %s', (key, kind) => {
    expect(kindOfKey(key)).toBe(kind);
  });
});
