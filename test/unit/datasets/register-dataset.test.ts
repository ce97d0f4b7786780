import { createDatasetReader } from '../../../src/datasets/dataset-reader';
import { registerDataset, splitOfCluster } from '../../../src/datasets/register-dataset';
import { IntegrityError, InvalidInputError } from '../../../src/errors';
import type { DatasetSource, Split } from '../../../src/schemas/task';
import { readDatasetFile, readDatasetManifest, writeDataset } from '../../../src/storage/datasets';
import type { ObjectStore } from '../../../src/storage/object-store';
import { createMemoryObjectStore } from '../../fakes/memory-object-store';

type Row = DatasetSource['tasks'][number];

const row = (id: string, rest: Partial<Row> = {}): Row => ({
  id,
  input: { query: `query ${id}` },
  family: `family-of-${id}`,
  slice: 'billing',
  reference: { intent: `secret-${id}` },
  ...rest,
});
const source = (tasks: readonly Row[], rest: Partial<DatasetSource> = {}): DatasetSource => ({
  tasks,
  demonstrations: [{ text: 'give it back', arm: 'refund' }],
  attribution: 'made up',
  ...rest,
});
const register = (tasks: readonly Row[], rest: Partial<DatasetSource> = {}): Promise<unknown> =>
  registerDataset(createMemoryObjectStore(), 'desk', source(tasks, rest));

describe('registering a dataset', () => {
  const tasks = [row('a'), row('b'), row('c')];

  it('gives the same digest for the same source, and writes nothing new', async () => {
    const store = createMemoryObjectStore();
    const digest = await registerDataset(store, 'desk', source(tasks));
    const keysOf = async (): Promise<string[]> => {
      const keys: string[] = [];
      for await (const { key } of store.list('v1/')) {
        keys.push(`${key} ${(await store.head(key))?.etag}`);
      }
      return keys;
    };
    const before = await keysOf();
    await expect(registerDataset(store, 'desk', source(tasks))).resolves.toBe(digest);
    await expect(keysOf()).resolves.toEqual(before);
  });

  it.each<[string, DatasetSource]>([
    ['a task’s input', source([row('a', { input: 'other' }), row('b'), row('c')])],
    ['a reference', source([row('a', { reference: 'other' }), row('b'), row('c')])],
    ['a family', source([row('a', { family: 'other' }), row('b'), row('c')])],
    ['a split', source([row('a', { split: 'report' }), row('b', { split: 'gate' }), row('c')])],
    ['a demonstration', source(tasks, { demonstrations: [{ text: 'give it', arm: 'refund' }] })],
    ['the attribution', source(tasks, { attribution: 'somebody else' })],
    ['the tasks’ number', source(tasks.slice(1))],
  ])('gives another digest when %s differs', async (_, other) => {
    const store = createMemoryObjectStore();
    const digest = await registerDataset(store, 'desk', source(tasks));
    await expect(registerDataset(store, 'desk', other)).resolves.not.toBe(digest);
  });

  it('writes labels into references.jsonl and nowhere else', async () => {
    const store = createMemoryObjectStore();
    const digest = await registerDataset(store, 'desk', source(tasks));
    const { files } = await readDatasetManifest(store, 'desk', digest);
    const holding: string[] = [];
    for (const file of [...Object.keys(files), 'manifest.json']) {
      const { bytes } = await store.get(
        `v1/datasets/desk/${digest.slice('sha256:'.length)}/${file}`,
      );
      const text = Buffer.from(bytes).toString();
      if (text.includes('secret-') || text.includes('family-of-')) holding.push(file);
    }
    expect(holding).toEqual(['references.jsonl']);
  });

  it('counts the tasks of each split in the manifest', async () => {
    const store = createMemoryObjectStore();
    const digest = await registerDataset(
      store,
      'desk',
      source([
        row('a', { split: 'train' }),
        row('b', { split: 'train' }),
        row('c', { split: 'gate' }),
      ]),
    );
    expect((await readDatasetManifest(store, 'desk', digest)).metadata).toEqual({
      counts: { train: 2, select: 0, gate: 1, report: 0 },
      demonstrations: 1,
      attribution: 'made up',
    });
  });

  it('refuses an id that comes twice', async () => {
    const registered = register([row('a'), row('b'), row('a')]);
    await expect(registered).rejects.toThrow(InvalidInputError);
    await expect(registered).rejects.toThrow(/a task id twice \[dataset=desk, task=a\]/);
  });

  it('refuses a cluster in two splits', async () => {
    const straddling = [
      row('a', { cluster: 'near', split: 'train' }),
      row('b', { cluster: 'near', split: 'gate' }),
    ];
    await expect(register(straddling)).rejects.toThrow(
      /one cluster in two splits.*got train and gate.*cluster=near, task=b/,
    );
  });

  it('refuses a dataset without tasks', async () => {
    await expect(register([])).rejects.toThrow(/no tasks: expected at least one/);
  });

  it.each<[string, () => Promise<unknown>]>([
    ['a task without an id', () => register([row('')])],
    ['an id that does not fit into a session token', () => register([row('x'.repeat(513))])],
    ['an input that is not JSON', () => register([row('a', { input: Number.NaN })])],
    ['a reference without a family', () => register([row('a', { family: '' })])],
    [
      'an empty demonstration',
      () => register(tasks, { demonstrations: [{ text: '', arm: 'refund' }] }),
    ],
  ])('refuses %s, which its readers could not take', async (_, refused) => {
    await expect(refused()).rejects.toThrow(InvalidInputError);
  });
});

describe('the split of a cluster', () => {
  const clusters = Array.from({ length: 10_000 }, (_, index) => `cluster-${index}`);
  const counts = (): Record<Split, number> => {
    const sum = { train: 0, select: 0, gate: 0, report: 0 };
    for (const cluster of clusters) sum[splitOfCluster(cluster)] += 1;
    return sum;
  };

  it('gives each split about its share', () => {
    const { train, select, gate, report } = counts();
    // Five standard deviations of a binomial count: 0.7 ± 0.023 and 0.1 ± 0.015.
    expect(Math.abs(train / 10_000 - 0.7)).toBeLessThan(0.023);
    for (const share of [select, gate, report].map((count) => count / 10_000))
      expect(Math.abs(share - 0.1)).toBeLessThan(0.015);
  });

  it('is what it was in the first release', () => {
    expect(['a', 'b', 'c', 'query-17', 'ü'].map(splitOfCluster)).toEqual([
      'select',
      'train',
      'train',
      'report',
      'train',
    ]);
  });

  it('stays when tasks are added', async () => {
    const store = createMemoryObjectStore();
    const reader = createDatasetReader(store);
    const trainOf = async (count: number): Promise<string[]> => {
      const tasks = clusters.slice(0, count).map((id) => row(id));
      const digest = await registerDataset(store, 'desk', source(tasks));
      return (await reader.tasks('desk', digest, 'train')).map(({ id }) => id);
    };
    const before = await trainOf(100);
    const after = await trainOf(200);
    expect(after.filter((id) => clusters.indexOf(id) < 100)).toEqual(before);
  });

  it('is that of its cluster, not of the task', async () => {
    const store = createMemoryObjectStore();
    const tasks = Array.from({ length: 30 }, (_, n) => row(`t${n}`, { cluster: 'near' }));
    const digest = await registerDataset(store, 'desk', source(tasks));
    const split = splitOfCluster('near');
    await expect(createDatasetReader(store).tasks('desk', digest, split)).resolves.toHaveLength(30);
  });
});

describe('reading a dataset', () => {
  const tasks = [
    row('b', { split: 'train' }),
    row('a', { split: 'train' }),
    row('c', { split: 'gate' }),
  ];

  it('gives the tasks of a split in stored order, without their labels', async () => {
    const store = createMemoryObjectStore();
    const digest = await registerDataset(store, 'desk', source(tasks));
    await expect(createDatasetReader(store).tasks('desk', digest, 'train')).resolves.toEqual([
      { id: 'b', cluster: 'b', split: 'train', input: { query: 'query b' } },
      { id: 'a', cluster: 'a', split: 'train', input: { query: 'query a' } },
    ]);
  });

  it('gives references by task id, and demonstrations as they were', async () => {
    const store = createMemoryObjectStore();
    const digest = await registerDataset(store, 'desk', source(tasks));
    const reader = createDatasetReader(store);
    const references = await reader.references('desk', digest);
    expect([...references.keys()]).toEqual(['b', 'a', 'c']);
    expect(references.get('c')).toEqual({
      id: 'c',
      family: 'family-of-c',
      slice: 'billing',
      reference: { intent: 'secret-c' },
    });
    await expect(reader.demonstrations('desk', digest)).resolves.toEqual([
      { text: 'give it back', arm: 'refund' },
    ]);
  });

  it('reads each file once', async () => {
    const store = createMemoryObjectStore();
    const digest = await registerDataset(store, 'desk', source(tasks));
    const read: string[] = [];
    const watched: ObjectStore = {
      ...store,
      get: (key) => {
        read.push(key);
        return store.get(key);
      },
    };
    const reader = createDatasetReader(watched);
    await Promise.all([
      reader.tasks('desk', digest, 'train'),
      reader.tasks('desk', digest, 'gate'),
    ]);
    expect(read.filter((key) => key.endsWith('tasks.jsonl'))).toHaveLength(1);
  });

  it('asks again after a read that failed', async () => {
    const store = createMemoryObjectStore();
    const digest = await registerDataset(store, 'desk', source(tasks));
    let isDown = true;
    const flaky: ObjectStore = {
      ...store,
      get: async (key) => {
        if (isDown) throw new Error('down');
        return store.get(key);
      },
    };
    const reader = createDatasetReader(flaky);
    await expect(reader.tasks('desk', digest, 'gate')).rejects.toThrow('down');
    isDown = false;
    await expect(reader.tasks('desk', digest, 'gate')).resolves.toHaveLength(1);
  });

  it('names the line that does not fit', async () => {
    const store = createMemoryObjectStore();
    const lines = '{"id":"a","cluster":"a","split":"train","input":1}\n{"id":"b"}\n';
    const digest = await writeDataset(store, 'desk', {
      files: new Map([['tasks.jsonl', Buffer.from(lines)]]),
      metadata: {},
    });
    const read = createDatasetReader(store).tasks('desk', digest, 'train');
    await expect(read).rejects.toThrow(IntegrityError);
    await expect(read).rejects.toThrow(/file=tasks.jsonl, line=2/);
  });

  it('finds the stored files where the storage layer says', async () => {
    const store = createMemoryObjectStore();
    const digest = await registerDataset(store, 'desk', source(tasks));
    const bytes = await readDatasetFile(store, 'desk', digest, 'tasks.jsonl');
    expect(Buffer.from(bytes).toString().split('\n')).toHaveLength(tasks.length + 1);
  });
});
