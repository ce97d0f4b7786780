import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { createLocalObjectStore } from '../../src/adapters/local-store';
import { distPath } from '../../src/adapters/dist-path';
import type { ObjectStore } from '../../src/storage/object-store';
import { damage, keyMatching } from '../helpers/damage';
import { activitiesOn, oneIteration, RUN } from '../helpers/small-iteration';

// `ratchet store` and `ratchet runs` as processes, on local files and without any server.

let home: string;
let store: ObjectStore;
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'ratchet-cli-'));
  store = createLocalObjectStore({ root: join(home, 'store'), durable: false });
  await oneIteration(activitiesOn(store));
});
afterEach(() => rm(home, { recursive: true, force: true }));

interface Ended {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** No server listens at this address: a command that needs one must say so. */
const NOWHERE = '127.0.0.1:1';

const environment = (): NodeJS.ProcessEnv => ({
  ...process.env,
  ...{ RATCHET_HOME: home, TEMPORAL_ADDRESS: NOWHERE },
});

function ratchet(...args: string[]): Promise<Ended> {
  return new Promise((resolve) => {
    execFile(
      process.execPath,
      [distPath('workers/cli.js'), ...args],
      { env: environment() },
      (error, stdout, stderr) =>
        resolve({ code: typeof error?.code === 'number' ? error.code : 0, stdout, stderr }),
    );
  });
}

it('verify ends with 0 where the store is whole, and with 1 and the finding where it is not', async () => {
  expect(await ratchet('store', 'verify', '--dry-run')).toMatchObject({
    code: 0,
    stdout: expect.stringContaining('The store is whole.') as string,
  });
  const key = await keyMatching(store, /^v1\/blobs\//);
  await damage(store, key, 'altered');
  const reported = await ratchet('store', 'verify', '--no-quarantine');
  expect([reported.code, await store.head(key)]).toEqual([1, expect.anything()]);
  const found = await ratchet('store', 'verify');
  expect(found).toMatchObject({
    code: 1,
    stdout: expect.stringContaining(`damaged: ${key}`) as string,
  });
  expect(await store.head(key)).toBeNull();
});

it('gc refuses where it cannot ask which runs are open, unless it is told that none are', async () => {
  const refused = await ratchet('store', 'gc');
  expect(refused.code).toBe(1);
  expect(refused.stderr).toMatch(/must know which runs are open.*--assume-no-open-runs/s);
  const orphan = `v1/runs/${RUN}/000000/rewards/dead.jsonl`;
  await store.put(orphan, Buffer.from('x'));
  const args = ['store', 'gc', '--assume-no-open-runs', '--older-than', '0s'];
  expect((await ratchet(...args, '--dry-run')).stdout).toMatch(/rewards +1/);
  expect(await store.head(orphan)).not.toBeNull();
  expect((await ratchet(...args)).stdout).toMatch(/removed/);
  expect(await store.head(orphan)).toBeNull();
});

it('runs are listed, shown and exported without a server', async () => {
  expect((await ratchet('runs', 'list')).stdout).toContain(RUN);
  expect((await ratchet('runs', 'show', 'desk-1')).stdout).toMatch(/iteration +rollouts/);
  const out = join(home, 'trajectories.jsonl');
  const written = await ratchet('runs', 'export', 'desk-1', '--out', out, '--iteration', '1');
  expect(written).toMatchObject({ code: 0, stderr: `4 trajectories in ${out}\n` });
  const piped = await ratchet('runs', 'export', 'desk-1');
  expect(piped.stdout).toBe(await readFile(out, 'utf8'));
  const unknown = await ratchet('runs', 'show', 'dusk');
  expect(unknown).toMatchObject({
    code: 1,
    stderr: expect.stringContaining('there is no run dusk: expected one of') as string,
  });
});

it('a store that is not there is not whole, and one that is empty says so', async () => {
  for (const command of ['verify', 'gc']) {
    const args = command === 'gc' ? ['--assume-no-open-runs'] : [];
    await rm(home, { recursive: true });
    const missing = await ratchet('store', command, ...args);
    expect([missing.code, missing.stderr]).toEqual([1, expect.stringContaining('RATCHET_STORE')]);
    await mkdir(home);
    await writeFile(join(home, 'store'), 'x');
    const onFile = await ratchet('store', command, ...args);
    expect([onFile.code, onFile.stderr]).toEqual([1, expect.stringContaining('got a file')]);
  }
  await rm(join(home, 'store'));
  await mkdir(join(home, 'store'));
  expect((await ratchet('store', 'verify')).stdout).toContain('nothing was checked');
});

it.each([
  ['list', []],
  ['export', ['desk-1']],
])('runs %s ends without a word when its reader is gone', async (command, args) => {
  const child = spawn(process.execPath, [distPath('workers/cli.js'), 'runs', command, ...args], {
    env: environment(),
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  child.stdout.destroy();
  const [stderr, [code]] = await Promise.all([
    text(child.stderr),
    once(child, 'close') as Promise<[number]>,
  ]);
  expect([code, stderr]).toEqual([141, '']);
});

it('an export that cannot be written says so, and takes no name that is not a file’s', async () => {
  const folder = join(home, 'folder');
  await mkdir(folder);
  for (const out of [join(home, 'absent', 'x'), folder, '']) {
    const { code, stderr } = await ratchet('runs', 'export', 'desk-1', '--out', out);
    expect([code, stderr]).toEqual([1, expect.stringMatching(/^ratchet: .*expected .*\[out=/)]);
    expect(stderr).not.toContain('    at ');
  }
  expect((await readdir(home)).sort()).toEqual(['folder', 'store']);
});

it('roles that there are not are refused in a line', async () => {
  const { code, stderr } = await ratchet('worker', '--roles', 'trainer');
  expect([code, stderr]).toEqual([1, expect.stringContaining('expected control, rollout, gpu')]);
});
