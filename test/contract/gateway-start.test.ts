import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { distPath } from '../../src/adapters/dist-path';
import { selfSigned } from '../helpers/self-signed';

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

it.each<[string, NodeJS.ProcessEnv, RegExp]>([
  ['beyond loopback without a word', {}, /without encryption: set RATCHET_GATEWAY_TLS_CERT/],
  [
    'with a certificate that is not there',
    { RATCHET_GATEWAY_TLS_CERT: '/nowhere/c.pem', RATCHET_GATEWAY_TLS_KEY: '/nowhere/k.pem' },
    /cannot be read; RATCHET_GATEWAY_TLS_CERT names it/,
  ],
])('a gateway that is to listen %s is refused', async (_, variables, reason) => {
  const { stderr, ended } = gateway({ RATCHET_GATEWAY_HOST: '0.0.0.0', ...variables });
  expect((await ended)[0]).toBe(1);
  expect(await stderr).toMatch(reason);
});

it('a gateway with a certificate speaks https, and `ratchet health` can ask it', async () => {
  const { cert, key } = selfSigned();
  const [certPath, keyPath] = [join(home, 'c.pem'), join(home, 'k.pem')];
  await writeFile(certPath, cert);
  await writeFile(keyPath, key);
  const { child, ready, ended } = gateway({
    RATCHET_GATEWAY_HOST: '0.0.0.0',
    ...{ RATCHET_GATEWAY_TLS_CERT: certPath, RATCHET_GATEWAY_TLS_KEY: keyPath },
  });
  const [line] = (await ready) as [Buffer];
  const port = /https:\/\/0\.0\.0\.0:(\d+)/.exec(line.toString())?.[1] ?? 'none';
  const health = spawn(
    process.execPath,
    [distPath('workers/cli.js'), 'health', '--url', `https://127.0.0.1:${port}/readyz`],
    { env: { ...process.env, NODE_EXTRA_CA_CERTS: certPath }, stdio: 'inherit' },
  );
  expect(await once(health, 'exit')).toEqual([0, null]);
  child.kill();
  await ended;
});
