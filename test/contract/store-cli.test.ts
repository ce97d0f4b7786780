import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
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

function ratchet(...args: string[]): Promise<Ended> {
  return new Promise((resolve) => {
    execFile(
      process.execPath,
      [distPath('workers/cli.js'), ...args],
      { env: { ...process.env, RATCHET_HOME: home, TEMPORAL_ADDRESS: NOWHERE } },
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
