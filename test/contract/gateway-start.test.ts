import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { distPath } from '../../src/adapters/dist-path';

// `ratchet gateway` as a process, where what it needs is not as it must be.

let home: string;
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'ratchet-gateway-'));
});
afterEach(() => rm(home, { recursive: true, force: true }));

function gateway(variables: NodeJS.ProcessEnv) {
  const child = spawn(process.execPath, [distPath('workers/cli.js'), 'gateway'], {
    env: { ...process.env, RATCHET_HOME: home, RATCHET_GATEWAY_PORT: '0', ...variables },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  return {
    child,
    ready: once(child.stdout, 'data'),
    stderr: text(child.stderr),
    ended: once(child, 'close') as Promise<[number | null, string | null]>,
  };
}

it.each(['RATCHET_SPOOL', 'RATCHET_STORE'])('%s that is a file is refused', async (variable) => {
  const file = join(home, 'file');
  await writeFile(file, 'x');
  const { child, ready, stderr, ended } = gateway({
    [variable]: variable === 'RATCHET_STORE' ? `file:${file}` : file,
  });
  await Promise.race([ready, ended]);
  child.kill();
  expect((await ended)[0]).toBe(1);
  expect(await stderr).toMatch(new RegExp(`expected a folder.*${variable}.*root=`));
});
