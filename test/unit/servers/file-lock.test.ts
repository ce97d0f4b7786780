import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { breakLock, withFileLock } from '../../../workers/servers/file-lock';
import { processIdentity } from '../../../workers/servers/process-table';

let folder: string;
let path: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ratchet-lock-'));
  path = join(folder, 'lock');
});
afterEach(() => rm(folder, { recursive: true, force: true }));

/** Runs `count` contenders; returns the most that were inside at once. */
async function contend(count: number): Promise<number> {
  let [inside, most] = [0, 0];
  const work = async (): Promise<void> => {
    most = Math.max(most, ++inside);
    await sleep(2);
    inside--;
  };
  await Promise.all(Array.from({ length: count }, () => withFileLock(path, work, { pollMs: 1 })));
  return most;
}

const holder = (pid: number, identity: string): string =>
  JSON.stringify({ id: 'someone', pid, identity, host: hostname() });

test('one at a time gets in, and nothing is left behind', async () => {
  expect(await contend(16)).toBe(1);
  expect(await readdir(folder)).toEqual([]);
});

test('of many that find the lock of a dead process, still one at a time gets in', async () => {
  const dead = spawnSync(process.execPath, ['-e', '']).pid;
  for (let round = 0; round < 10; round++) {
    await writeFile(path, holder(dead, 'an earlier start'));
    expect(await contend(3 + (round % 6))).toBe(1);
  }
});

test('a later process with the pid of the dead holder does not keep the lock alive', async () => {
  await writeFile(path, holder(process.pid, 'an earlier start'));
  expect(await contend(1)).toBe(1);
});

test('who saw a dead holder too late does not remove the lock that was taken since', async () => {
  const live = holder(process.pid, (await processIdentity(process.pid))!);
  await writeFile(path, live);
  await breakLock(path, { id: 'the dead one', pid: 1, identity: '', host: hostname() });
  expect(await readFile(path, 'utf8')).toBe(live);
});

test('a file that is no lock is taken over', async () => {
  await writeFile(path, '{"id":');
  expect(await contend(4)).toBe(1);
});

test('the lock of a process that lives is waited for; the wait says for whom and can be stopped', async () => {
  await writeFile(path, holder(process.pid, (await processIdentity(process.pid))!));
  const stop = new AbortController();
  const waits: string[] = [];
  const onWait = (who: string): void => {
    waits.push(who);
    stop.abort(new Error('enough'));
  };
  const options = { signal: stop.signal, onWait, pollMs: 1 };
  await expect(withFileLock(path, () => Promise.resolve(), options)).rejects.toThrow('enough');
  expect(waits).toEqual([`process ${process.pid} on ${hostname()}`]);
  expect(existsSync(path)).toBe(true);
});

test('work that fails gives the lock back', async () => {
  const failing = withFileLock(path, () => Promise.reject(new Error('no')));
  await expect(failing).rejects.toThrow('no');
  expect(await contend(1)).toBe(1);
});
