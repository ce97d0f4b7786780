import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { distPath } from '../../src/adapters/dist-path';

// `ratchet keys` and `ratchet gateway` as processes that share a folder.

let home: string;
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'ratchet-keys-cli-'));
});
afterEach(() => rm(home, { recursive: true, force: true }));

const environment = (): NodeJS.ProcessEnv => ({
  ...process.env,
  ...{ RATCHET_HOME: home, RATCHET_GATEWAY_PORT: '0' },
});

interface Ended {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

function keys(...args: string[]): Promise<Ended> {
  return new Promise((resolve) => {
    execFile(
      process.execPath,
      [distPath('workers/cli.js'), 'keys', ...args],
      { env: environment() },
      (error, stdout, stderr) =>
        resolve({ code: typeof error?.code === 'number' ? error.code : 0, stdout, stderr }),
    );
  });
}

interface Listed {
  readonly id: string;
  readonly state: string;
  readonly lastUsedAt: string | null;
}
const listed = async (): Promise<Listed[]> =>
  JSON.parse((await keys('list', '--json')).stdout) as Listed[];

test('a key is shown once, listed with its scope and expiry, and kept as a hash', async () => {
  expect((await keys('list')).stdout).toMatch(/There are no keys/);
  const made = await keys(
    ...['create', '--role', 'agent', '--agent', 'desk', '--agent', 'shop'],
    ...['--expires', '90d', '--name', 'support team'],
  );
  const key = made.stdout.trim();
  expect(key).toMatch(/^rk-[0-9a-f]{12}-[\w-]{43}$/);
  const table = (await keys('list')).stdout;
  expect(table).toMatch(/^ *id +role +agents +state +created +expires +last used +name\n/);
  expect(table).toMatch(/agent +desk, shop +active .* never +support team\n$/);
  const file = await readFile(join(home, 'keys', 'api-keys.json'), 'utf8');
  for (const shown of [table, (await keys('list', '--json')).stdout, file]) {
    expect(shown).not.toContain(key.slice(16));
  }
  const [record] = await listed();
  expect(record).toMatchObject({ agents: ['desk', 'shop'], label: 'support team' });
  expect(record).not.toHaveProperty('hash');
});

test.each([
  [['create', '--role', 'king'], /expected one of agent, runner, scorer, approver, admin/],
  [['create', '--role', 'agent'], /names its agent/],
  [['create', '--role', 'admin', '--agent', 'desk'], /may be limited to agents/],
  [['create', '--role', 'scorer', '--expires', 'soon'], /e\.g\. 90d/],
  [['revoke', `rk-${'a'.repeat(12)}-${'B'.repeat(43)}`], /expected the 12 characters/],
  [['revoke', 'a'.repeat(12)], /no API key of this id/],
])('%j is refused with the reason', async (args, reason) => {
  const { code, stdout, stderr } = await keys(...args);
  expect([code, stdout]).toEqual([1, '']);
  expect(stderr).toMatch(reason);
  expect(stderr).not.toContain('B'.repeat(43));
});

test('a running gateway lets a new key in at once, shows its use, and refuses it within 2 s of its revocation', async () => {
  const child = spawn(process.execPath, [distPath('workers/cli.js'), 'gateway'], {
    env: environment(),
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  try {
    const [ready] = (await once(child.stdout, 'data')) as [Buffer];
    const url = /http:\S+/.exec(ready.toString())?.[0] ?? '';
    const key = (await keys('create', '--role', 'scorer')).stdout.trim();
    const status = async (): Promise<number> =>
      (await fetch(`${url}/v1/models`, { headers: { 'x-api-key': key } })).status;
    expect(await status()).toBe(200);
    await sleep(100); // the use is written beside the call
    const [before] = await listed();
    expect(Date.now() - Date.parse(before?.lastUsedAt ?? '')).toBeLessThan(60_000);
    await keys('revoke', key.slice(3, 15));
    await sleep(2_000);
    expect(await status()).toBe(401);
    expect(await listed()).toMatchObject([{ state: 'revoked', lastUsedAt: before?.lastUsedAt }]);
  } finally {
    child.kill('SIGTERM');
    await once(child, 'exit');
  }
});
