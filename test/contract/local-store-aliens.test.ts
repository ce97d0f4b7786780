import { mkdir, mkdtemp, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createLocalObjectStore } from '../../src/adapters/local-store';
import { InvalidInputError } from '../../src/errors';
import type { ObjectStore } from '../../src/storage/object-store';

// Files that Ratchet did not put into its folder: of network disks, file managers, editors, people.

let root: string;
let store: ObjectStore;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'ratchet-store-'));
  store = createLocalObjectStore({ root, durable: false });
});
afterEach(() => rm(root, { recursive: true }));

const onDisk = (...names: string[]): string => join(root, 'objects', ...names);

async function keys(prefix = ''): Promise<string[]> {
  const found: string[] = [];
  for await (const { key } of store.list(prefix)) found.push(key);
  return found;
}

it.each(['.nfs0001', 'x', '01', '1.swp', '-1', '1e3'])(
  'a file %s beside the versions of an object is none of them',
  async (name) => {
    await store.put('v1/a', Buffer.from('first'));
    await store.put('v1/a', Buffer.from('second'));
    await writeFile(onDisk('v1', 'a~', name), 'alien');
    expect(Buffer.from((await store.get('v1/a')).bytes).toString()).toBe('second');
    await store.put('v1/a', Buffer.from('third'));
    expect(Buffer.from((await store.get('v1/a')).bytes).toString()).toBe('third');
    await store.delete('v1/a');
    expect(await keys()).toEqual([]);
  },
);

it('a listing has nothing that no key can name', async () => {
  await store.put('v1/a/b', Buffer.from('x'));
  for (const name of ['.nfs0001', 'b.swp~', 'two words', 'line\nend', 'ends.', 'ümlaut'])
    await writeFile(onDisk('v1', 'a', name), 'alien');
  await mkdir(onDisk('v1', 'a', '.hidden'));
  await writeFile(onDisk('v1', 'a', '.hidden', 'c'), 'alien');
  expect(await keys()).toEqual(['v1/a/b']);
});

it('a listing ends where a folder lies deeper than any key', async () => {
  await store.put('v1/a', Buffer.from('x'));
  let folder = 'v1';
  while (folder.length < 1_000) folder = join(folder, 'd'.repeat(50));
  await mkdir(onDisk(folder), { recursive: true });
  await writeFile(onDisk(folder, 'b'), 'alien');
  expect(await keys()).toEqual(['v1/a']);
});

it('a listing refuses a linked folder: what it left out would count as garbage', async () => {
  await store.put('v1/runs/a', Buffer.from('x'));
  await rename(onDisk('v1', 'runs'), join(root, 'elsewhere'));
  await symlink(join(root, 'elsewhere'), onDisk('v1', 'runs'));
  await expect(keys('v1/')).rejects.toThrow(InvalidInputError);
  await expect(keys('v1/runs/')).rejects.toThrow(/symbolic link.*RATCHET_STORE/);
});
