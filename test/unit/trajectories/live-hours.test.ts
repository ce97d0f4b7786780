import { IntegrityError } from '../../../src/errors';
import type { LiveHour } from '../../../src/schemas/live-hour';
import { verifyStore } from '../../../src/integrity/verify-store';
import { liveHourKey } from '../../../src/storage/keys';
import type { ObjectStore } from '../../../src/storage/object-store';
import { listSegments } from '../../../src/trajectories/list-segments';
import { describeStored, hoursWithin, segmentsOf } from '../../../src/trajectories/live-hours';
import { readLiveDecisions } from '../../../src/trajectories/read-live-decisions';
import { createMemoryObjectStore } from '../../fakes/memory-object-store';
import { collect, DAY, ms, putSegment, type Said } from './live-store';

const TEN = { agent: 'desk', day: DAY, hour: 10 };
const KEY = liveHourKey('desk', DAY, 10);
const one = (id: string, at = `${DAY}T10:00:00.000Z`): Said => ({
  session: 'live/desk/s',
  decision: { id, at },
});
const text = (value: string): Uint8Array => new TextEncoder().encode(value);

let store: ObjectStore;
beforeEach(() => {
  store = createMemoryObjectStore();
});

async function put(name: string, ...said: Said[]): Promise<string> {
  const key = await putSegment(store, name, said);
  const entry = await describeStored(store, { ...TEN, name: `${name}.jsonl` });
  await listSegments(store, TEN, { add: entry === null ? [] : [entry] });
  return key;
}
const names = async (): Promise<string[]> => (await segmentsOf(store, TEN)).map(({ name }) => name);
const ids = async (): Promise<string[]> => {
  const range = { fromMs: ms('00:00:00'), toMs: ms('23:59:59'), asOfMs: ms('23:59:59') };
  const found = await collect(readLiveDecisions(store, { agent: 'desk', ...range }));
  return found.map(({ decision }) => decision.id);
};

describe('the manifest of an hour', () => {
  test('lists each segment once, whoever lists it at the same time', async () => {
    const whole = store;
    // Others read between another's reading and its write.
    store = {
      ...whole,
      async put(...written) {
        await new Promise(setImmediate);
        return whole.put(...written);
      },
    };
    await putSegment(store, 'before', [one('d')]);
    await listSegments(store, TEN, {}); // there is a manifest to swap
    const all = Array.from({ length: 32 }, (_, i) => `g${String(i).padStart(2, '0')}-1`);
    await Promise.all(all.map((name, i) => put(name, one(`d${i}`))));
    expect(await names()).toEqual(['before', ...all].map((name) => `${name}.jsonl`));
    expect(await ids()).toHaveLength(33);
  });

  test('says what is in a segment', async () => {
    const upstream = { name: 'openai', model: 'gpt-5', responseId: null };
    await put('s', one('a'), {
      session: 'live/desk/t',
      decision: { id: 'b', at: `${DAY}T10:59:00.000Z`, policy: null, upstream },
    });
    expect(await segmentsOf(store, TEN)).toMatchObject([
      {
        ...{ name: 's.jsonl', decisions: 2, unresolved: 0 },
        ...{ firstAt: `${DAY}T10:00:00.000Z`, lastAt: `${DAY}T10:59:00.000Z` },
        ...{ models: ['gpt-5'], upstreams: ['openai'], policies: ['support'] },
      },
    ]);
  });

  test('is made of what lies there where there is none yet, or a damaged one', async () => {
    await putSegment(store, 'before', [one('a')]);
    expect(await names()).toEqual(['before.jsonl']);
    await put('first', one('b'));
    expect(await names()).toEqual(['before.jsonl', 'first.jsonl']);
    await store.put(KEY, text('{"formatVersion":1,'));
    await expect(names()).rejects.toThrow(IntegrityError);
    await put('second', one('c'));
    expect(await names()).toEqual(['before.jsonl', 'first.jsonl', 'second.jsonl']);
  });

  test('spares its readers what they do not ask for', async () => {
    const upstream = { name: 'openai', model: 'gpt-5', responseId: null };
    await put('s', one('a'));
    await put('t', { session: 'live/desk/t', decision: { ...one('b').decision, upstream } });
    const read: string[] = [];
    const observed: ObjectStore = {
      ...store,
      get: (key) => (read.push(key), store.get(key)),
    };
    const range = { fromMs: ms('00:00:00'), toMs: ms('23:59:59'), asOfMs: ms('23:59:59') };
    const filter = { upstream: 'openai' };
    const query = { agent: 'desk', ...range, filter };
    expect(await collect(readLiveDecisions(observed, query))).toHaveLength(1);
    expect(read).toEqual([KEY, `v1/live/desk/${DAY}/10/t.jsonl`]);
  });

  test('lets readers find what took a segment’s place while they read', async () => {
    const whole = store;
    const old = await put('old', one('a'), one('b'));
    let isErased = false;
    const erasing: ObjectStore = {
      ...whole,
      async get(key) {
        if (key === old && !isErased) {
          isErased = true;
          await putSegment(whole, 'new', [one('b')]);
          const entry = await describeStored(whole, { ...TEN, name: 'new.jsonl' });
          const add = entry === null ? [] : [entry];
          await listSegments(whole, TEN, { add, remove: ['old.jsonl'] });
          await whole.delete(old);
        }
        return whole.get(key);
      },
    };
    store = erasing;
    expect(await ids()).toEqual(['b']);
    expect(await names()).toEqual(['new.jsonl']);
  });

  test('makes a segment that is gone damage, which no reader passes over', async () => {
    const key = await put('s', one('a'));
    await store.delete(key);
    await expect(ids()).rejects.toThrow(/missing that its hour lists/);
  });
});

test('hours are found with one listing each, over days and gaps', async () => {
  for (const at of ['2026-11-21T23:10:00.000Z', '2026-11-22T00:10:00.000Z', `${DAY}T10:00:00.000Z`])
    for (const name of ['a', 'b', 'c']) await putSegment(store, name, [one(`${at}${name}`, at)]);
  let listings = 0;
  const observed: ObjectStore = {
    ...store,
    list: (...listing) => (listings++, store.list(...listing)),
  };
  const range = { fromMs: Date.parse('2026-11-21T23:00:00Z'), toMs: ms('10:00:00') };
  const found = await collect(hoursWithin(observed, 'desk', range));
  expect(found.map(({ day, hour }) => `${day} ${hour}`)).toEqual(['2026-11-21 23', '2026-11-22 0']);
  expect(listings).toBe(4); // and one of the manifests
});

describe('a walk through the store', () => {
  const verify = () => verifyStore(store, { isDeep: true, doesQuarantine: true });

  test('finds live segments and manifests whole', async () => {
    await put('s', one('a'));
    await putSegment(store, 'x', [one('b', `${DAY}T11:00:00.000Z`)]); // its hour has no manifest
    const { findings, checked, unnamed } = await verify();
    expect(findings).toEqual([]);
    expect(checked.get('live-hour')?.objects).toBe(1);
    expect(unnamed.objects).toBe(0);
  });

  test('finds a live segment that was altered, is gone, or is not listed', async () => {
    const [altered, gone] = [await put('altered', one('a')), await put('gone', one('b'))];
    const before = new TextDecoder().decode((await store.get(altered)).bytes);
    await store.put(altered, text(before.replace('why?', 'who?')));
    await store.delete(gone);
    const unlisted = await putSegment(store, 'unlisted', [one('c')]);
    const { findings } = await verify();
    expect(findings.map(({ problem, key }) => [problem, key]).sort()).toEqual([
      ['damaged', altered],
      ['missing', gone],
      ['unlisted', unlisted],
    ]);
  });

  test('reports a damaged manifest, and its segments stay', async () => {
    const key = await put('s', one('a'));
    await store.put(KEY, text('{'));
    expect((await verify()).findings).toMatchObject([{ key: KEY, problem: 'damaged' }]);
    expect(await store.head(key)).not.toBeNull();
    expect(JSON.stringify(await segmentsOf(store, TEN))).toContain('s.jsonl'); // derived again
  });
});

test('a manifest holds no times but those of the calls, and no sessions', async () => {
  await put('s', one('a'));
  const hour = JSON.parse(new TextDecoder().decode((await store.get(KEY)).bytes)) as LiveHour;
  expect(Object.keys(hour.segments[0] ?? {}).sort()).toEqual([
    ...['decisions', 'firstAt', 'lastAt', 'models', 'name', 'policies', 'sha256', 'sizeBytes'],
    ...['unresolved', 'upstreams'],
  ]);
});
