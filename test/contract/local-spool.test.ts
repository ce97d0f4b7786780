import { readdir, readFile, truncate, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { localDisk } from '../../src/adapters/spool/disk';
import type { LocalSpoolOptions } from '../../src/adapters/spool/local-spool';
import { createLocalSpool } from '../../src/adapters/spool/local-spool';
import { FOREIGN_LEASE_MS } from '../../src/adapters/spool/spool-folder';
import { TransientError } from '../../src/errors';
import type { Spool, SpooledContents } from '../../src/gateway/recording/spool';
import { SpoolFullError } from '../../src/gateway/recording/spool';
import { createFlakyDisk, errno } from '../fakes/flaky-disk';
import type { SpoolFixture } from '../helpers/spools';
import { createSpoolFixture } from '../helpers/spools';

let fixture: SpoolFixture;
const closing: Spool[] = [];
beforeEach(async () => {
  fixture = await createSpoolFixture();
});
afterEach(async () => {
  for (const spool of closing.splice(0)) {
    await spool.close();
    await spool.release();
  }
  await fixture.remove();
});

function open(options: Partial<LocalSpoolOptions> = {}): { spool: Spool; kill: () => void } {
  const process = fixture.open(options);
  closing.push(process.spool);
  return process;
}

const entry = (text: string, rest: object = {}) => ({ text: JSON.stringify(text), ...rest });

/** What all files hold together, as another process finds it. */
async function adopted(): Promise<{ entries: string[]; open: string[]; spool: Spool }> {
  const { spool } = open();
  await spool.adopt();
  const contents: SpooledContents[] = [];
  for (const file of spool.sealed()) contents.push(await file.read());
  const parse = (texts: readonly string[]): string[] =>
    texts.map((text) => JSON.parse(text) as string);
  return {
    spool,
    entries: contents.flatMap(({ entries }) => parse(entries)),
    open: contents.flatMap((one) => parse(one.open)),
  };
}

async function onlyLog(): Promise<string> {
  const [log, ...more] = await fixture.logs();
  expect(more).toEqual([]);
  return join(fixture.root, log ?? '');
}

const quarantine = (): Promise<string[]> =>
  readdir(join(fixture.root, 'quarantine')).catch(() => []);

describe('what a process leaves that dies', () => {
  test('is everything that was durable, when its last record was cut at any byte', async () => {
    const first = open();
    await first.spool.append(entry('first'));
    const { spool, kill } = first;
    const before = (await readFile(await onlyLog())).length;
    await spool.append(entry('last', { opens: 'call' }));
    const path = await onlyLog();
    const whole = await readFile(path);
    kill();
    for (let length = before; length <= whole.length; length++) {
      await writeFile(path, whole);
      await truncate(path, length);
      const reader = open();
      await reader.spool.adopt();
      const [file] = reader.spool.sealed();
      const { entries, open: left } = (await file?.read()) ?? {};
      const isWhole = length === whole.length;
      expect(entries).toEqual(isWhole ? ['"first"', '"last"'] : ['"first"']);
      expect(left).toEqual(isWhole ? ['"last"'] : []);
      const { tornTails, quarantined } = reader.spool.snapshot();
      expect({ tornTails, quarantined }).toEqual({
        tornTails: isWhole || length === before ? 0 : 1,
        quarantined: 0,
      });
      await reader.spool.close();
      await reader.spool.release();
    }
  });

  test('and was damaged since goes to the quarantine, and all around it is read', async () => {
    const { spool, kill } = open();
    for (const text of ['a', 'b', 'c']) await spool.append(entry(text));
    kill();
    const path = await onlyLog();
    const bytes = await readFile(path);
    const at = bytes.indexOf('"b"');
    bytes.writeUInt8(0x21, at);
    await writeFile(path, bytes);
    const found = await adopted();
    expect(found.entries).toEqual(['a', 'c']);
    expect(found.spool.snapshot()).toMatchObject({ quarantined: 1, tornTails: 0 });
    const [piece] = await quarantine();
    const kept = await readFile(join(fixture.root, 'quarantine', piece ?? ''));
    expect(kept.includes('!b"')).toBe(true);
    // Read again, it is the same piece.
    await found.spool.sealed()[0]?.read();
    expect(await quarantine()).toHaveLength(1);
  });

  test('is damaged, not torn, where a file is shorter than its successor says', async () => {
    const { spool, kill } = open();
    await spool.append(entry('a'));
    await spool.append(entry('b'));
    const path = await onlyLog();
    await spool.seal('now');
    await spool.append(entry('c'));
    kill();
    const { length } = await readFile(path);
    await truncate(path, length - 5);
    const found = await adopted();
    expect(found.entries).toEqual(['a', 'c']);
    expect(found.spool.snapshot().tornTails).toBe(0);
    expect(await quarantine()).toHaveLength(2); // what is left of the record, and how much is missing
  });

  test('has each entry that was open, once, wherever it was opened', async () => {
    const { spool, kill } = open();
    await spool.append(entry('early', { opens: 'early' }));
    await spool.append(entry('closed', { opens: 'closed' }));
    await spool.seal('now');
    await spool.append(entry('closing', { closes: 'closed' }));
    await spool.seal('now');
    await spool.append(entry('late', { opens: 'late' }));
    kill();
    expect((await adopted()).open).toEqual(['early', 'late']);
  });

  test('has what was open even if it died before its new file held all of that', async () => {
    const { spool, kill } = open();
    for (const key of ['a', 'b']) await spool.append(entry(key, { opens: key }));
    await spool.seal('now');
    const log = (await fixture.logs())[1] ?? '';
    const bytes = await readFile(join(fixture.root, log));
    // The first group of the second file: its head is there, and only the first of the two carried entries.
    await truncate(join(fixture.root, log), bytes.indexOf('"b"') - 3);
    kill();
    expect((await adopted()).open.sort()).toEqual(['a', 'b']);
  });
});

describe('a file', () => {
  test('is ended by its size, and the next one begins with what is open', async () => {
    const { spool } = open({ maxFileBytes: 400 });
    await spool.append(entry('open', { opens: 'key' }));
    for (let i = 0; i < 12; i++) await spool.append(entry(`${i} ${'x'.repeat(80)}`));
    const files = spool.sealed();
    expect(files.length).toBeGreaterThan(1);
    for (const file of files) {
      const { entries, open: left } = await file.read();
      expect(entries[0]).toBe('"open"');
      expect(left).toEqual([]); // the next file has it
    }
  });

  test('is ended by its age, and not while it holds nothing new', async () => {
    const { spool } = open({ maxFileAgeMs: 400 });
    await spool.append(entry('a', { opens: 'a' }));
    await spool.seal('due');
    expect(spool.sealed()).toEqual([]);
    await new Promise((resolve) => setTimeout(resolve, 450));
    await spool.seal('due');
    expect(spool.sealed()).toHaveLength(1);
    await new Promise((resolve) => setTimeout(resolve, 450));
    await spool.seal('due');
    await spool.seal('now');
    expect(spool.sealed()).toHaveLength(1);
  });

  test('whose fsync failed is never written to again: its group goes to another file, once', async () => {
    const disk = createFlakyDisk();
    const { spool, kill } = open({ disk });
    await spool.append(entry('a'));
    const written: string[] = [];
    disk.beforeWrite = (path) => void written.push(path);
    disk.beforeDatasync = () => {
      disk.beforeDatasync = () => undefined;
      throw errno('EIO');
    };
    await spool.append(entry('b'));
    await spool.append(entry('c'));
    expect(disk.created).toHaveLength(2);
    expect(written).toEqual([disk.created[0], disk.created[1], disk.created[1]]);
    kill();
    expect((await adopted()).entries).toEqual(['a', 'b', 'c']);
  });

  test('that could not be truncated after a failure ends where its successor says', async () => {
    const disk = createFlakyDisk();
    const create = disk.create.bind(disk);
    disk.create = async (path) => ({
      ...(await create(path)),
      truncate: () => Promise.reject(errno('EIO')),
    });
    const { spool, kill } = open({ disk });
    await spool.append(entry('a'));
    disk.beforeDatasync = () => {
      disk.beforeDatasync = () => undefined;
      throw errno('EIO');
    };
    await spool.append(entry('b')); // whole in the first file too, by its bytes
    kill();
    expect((await adopted()).entries).toEqual(['a', 'b']);
  });
});

describe('a disk that is full', () => {
  test('refuses what cannot be written, leaves no half of it, and goes on when there is room', async () => {
    const disk = createFlakyDisk();
    const { spool, kill } = open({ disk });
    await spool.append(entry('a'));
    disk.beforeWrite = () => Promise.reject(errno('ENOSPC'));
    for (const text of ['b', 'c']) {
      await expect(spool.append(entry(text))).rejects.toThrow(/disk is full/);
      await expect(spool.append(entry(text))).rejects.toThrow(TransientError);
    }
    expect(spool.snapshot()).toMatchObject({ failedGroups: 4, appended: 1 });
    expect(await fixture.logs()).toHaveLength(1); // new files that came to nothing are gone
    disk.beforeWrite = () => undefined;
    await spool.append(entry('d'));
    kill();
    const found = await adopted();
    expect(found.entries).toEqual(['a', 'd']);
    expect(found.spool.snapshot()).toMatchObject({ tornTails: 0, quarantined: 0 });
  });
});

describe('a spool that is full', () => {
  test('refuses at once, except what closes an entry, and takes more when something is drained', async () => {
    const { spool } = open({ maxBytes: 200 });
    await spool.append(entry('x'.repeat(200), { opens: 'call' }));
    await expect(spool.append(entry('b', { opens: 'b' }))).rejects.toThrow(SpoolFullError);
    await spool.append(entry('decision', { closes: 'call' }));
    expect(spool.snapshot()).toMatchObject({ refusedFull: 1, maxBytes: 200 });
    await spool.seal('now');
    for (const file of spool.sealed()) await file.remove();
    await spool.append(entry('c', { opens: 'c' }));
  });

  test('gives what it adopted to be drained before its own', async () => {
    const dead = open();
    await dead.spool.append(entry('dead'));
    const { spool } = open();
    await spool.append(entry('own'));
    await spool.seal('now');
    dead.kill();
    await spool.adopt();
    const entries = await Promise.all(spool.sealed().map((file) => file.read()));
    expect(entries.map((one) => one.entries)).toEqual([['"dead"'], ['"own"']]);
  });

  test('counts what it adopted', async () => {
    const dead = open();
    await dead.spool.append(entry('x'.repeat(300)));
    dead.kill();
    const { spool } = open({ maxBytes: 200 });
    await spool.adopt();
    await expect(spool.append(entry('b'))).rejects.toThrow(SpoolFullError);
  });
});

test('too much that waits for a slow disk is refused at once', async () => {
  const disk = createFlakyDisk();
  let land = (): void => undefined;
  disk.beforeDatasync = () => new Promise((resolve) => (land = resolve));
  const { spool } = open({ disk, maxWaiting: 2 });
  const first = spool.append(entry('1'));
  while (disk.datasyncs === 0) await new Promise(setImmediate);
  const others = [spool.append(entry('2')), spool.append(entry('3'))];
  await expect(spool.append(entry('4'))).rejects.toThrow(/too much waits/);
  disk.beforeDatasync = () => undefined;
  land();
  await Promise.all([first, ...others]);
});

describe('the folder of a process', () => {
  test('is its own while it lives, and is adopted by exactly one of those that find it dead', async () => {
    const owner = open();
    await owner.spool.append(entry('a'));
    const others = Array.from({ length: 8 }, () => open().spool);
    await Promise.all(others.map((spool) => spool.adopt()));
    expect(others.flatMap((spool) => spool.sealed())).toEqual([]);
    owner.kill();
    await Promise.all(others.map((spool) => spool.adopt()));
    expect(others.flatMap((spool) => spool.sealed())).toHaveLength(1);
  });

  test('is adopted whatever else lies beside it, and what could not be looked into is said', async () => {
    const { spool, kill } = open();
    await spool.append(entry('a'));
    kill();
    for (const name of ['0000000000000000', 'ffffffffffffffff'])
      await writeFile(join(fixture.root, name), 'no folder');
    const adopter = open();
    await expect(adopter.spool.adopt()).rejects.toThrow(
      /spool could not be looked through.*ENOTDIR/,
    );
    expect(adopter.spool.sealed()).toHaveLength(1);
  });

  test('whose logs cannot be looked at is given up, and adopted once they can', async () => {
    const { spool, kill } = open();
    await spool.append(entry('a'));
    kill();
    const disk = createFlakyDisk();
    disk.stat = (path) =>
      path.endsWith('.log') ? Promise.reject(errno('EIO')) : localDisk.stat(path);
    const adopter = open({ disk });
    await expect(adopter.spool.adopt()).rejects.toThrow(TransientError);
    expect(adopter.spool.sealed()).toHaveLength(0);
    disk.stat = (path) => localDisk.stat(path);
    await adopter.spool.adopt();
    expect(adopter.spool.sealed()).toHaveLength(1);
  });

  test('is adopted again when its adopter dies, and is gone once it is drained', async () => {
    const owner = open();
    await owner.spool.append(entry('a'));
    owner.kill();
    const adopter = open();
    await adopter.spool.adopt();
    adopter.kill();
    const { spool, entries } = await adopted();
    expect(entries).toEqual(['a']);
    for (const file of spool.sealed()) await file.remove();
    expect(await readdir(fixture.root)).toEqual([]);
  });

  test('that was given up with something in it is the next one’s', async () => {
    const { spool } = fixture.open();
    await spool.append(entry('a'));
    await spool.close();
    await spool.release();
    expect((await adopted()).entries).toEqual(['a']);
  });

  test('on another host is adopted only when it was not renewed for a minute', async () => {
    const processes = fixture.machine.start('elsewhere');
    const foreign = createLocalSpool({ root: fixture.root, processes });
    closing.push(foreign);
    await foreign.append(entry('a'));
    expect((await adopted()).entries).toEqual([]);
    const [folder = ''] = await readdir(fixture.root);
    const old = new Date(Date.now() - FOREIGN_LEASE_MS - 1_000);
    await utimes(join(fixture.root, folder, 'owner-000001.json'), old, old);
    expect((await adopted()).entries).toEqual(['a']);
  });

  test('that was taken from a living process loses nothing that the process was told is durable', async () => {
    // It only seemed dead: a container that was stopped, say. It wakes up in the middle of a group.
    const disk = createFlakyDisk();
    const owner = open({ disk });
    await owner.spool.append(entry('before', { opens: 'call' }));
    owner.kill();
    const taken = await adopted();
    expect(taken.entries).toEqual(['before']);
    await owner.spool.append(entry('after'));
    expect(await readFile(disk.created[1] ?? '', 'utf8')).toContain('"after"');
    expect(disk.created[1]).not.toContain(taken.spool.sealed()[0]?.folder);
  });

  test('that is gone altogether, drained by its adopter, is noticed too', async () => {
    const owner = open();
    await owner.spool.append(entry('before'));
    owner.kill();
    const { spool } = await adopted();
    for (const file of spool.sealed()) await file.remove();
    expect(await fixture.logs()).toEqual([]);
    await owner.spool.append(entry('after')); // its file is open still, but has no name any more
    const log = await readFile(await onlyLog(), 'utf8');
    expect(log).toContain('"after"');
  });

  test('holds no entry before the first one comes', async () => {
    open();
    expect(await readdir(fixture.root)).toEqual([]);
  });
});

test('a second name is refused for what exists, as the claims of folders need it', async () => {
  await writeFile(join(fixture.root, 'a'), '');
  expect(await localDisk.link(join(fixture.root, 'a'), join(fixture.root, 'b'))).toBe(true);
  expect(await localDisk.link(join(fixture.root, 'a'), join(fixture.root, 'b'))).toBe(false);
});
