import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { checkHealthFile, checkUrl, createHealthFile } from '../../../workers/health';

let folder: string;
let path: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ratchet-health-'));
  path = join(folder, 'health.json');
});
afterEach(() => rm(folder, { recursive: true }));

const warn = (message: string): never => {
  throw new Error(message);
};

describe('a worker’s health file', () => {
  it('says that it polls, and says so no more once it is closed', async () => {
    const health = createHealthFile(path, warn);
    await expect(checkHealthFile(path)).rejects.toThrow('no worker says that it is there');
    await health.say('polling');
    await expect(checkHealthFile(path)).resolves.toBe(`polling, pid ${process.pid}`);
    await health.close();
    expect(existsSync(path)).toBe(false);
  });

  it('is unwell once it stops', async () => {
    const health = createHealthFile(path, warn);
    await health.say('polling');
    await health.say('stopping');
    await expect(checkHealthFile(path)).rejects.toThrow('takes no work [state=stopping]');
    await health.close();
  });

  it('is unwell where it has fallen silent, as a process does that hangs', async () => {
    const health = createHealthFile(path, warn, () => 1_000_000);
    await health.say('polling');
    await expect(checkHealthFile(path, () => 1_015_000)).resolves.toContain('polling');
    await expect(checkHealthFile(path, () => 1_031_000)).rejects.toThrow(
      /fallen silent.*seconds=31/,
    );
    await health.close();
  });

  it('that somebody else has written is not believed', async () => {
    await writeFile(path, '{"state":"fine"}');
    await expect(checkHealthFile(path)).rejects.toThrow('no worker says that it is there');
  });

  it('costs nothing where none is wanted, and a warning where it cannot be written', async () => {
    const none = createHealthFile(null, warn);
    await none.say('polling');
    await none.close();
    const warnings: string[] = [];
    const lost = createHealthFile(join(folder, 'no', 'where'), (line) => warnings.push(line));
    await lost.say('polling');
    await lost.close();
    expect(warnings).toEqual([expect.stringContaining('cannot be written')]);
  });
});

describe('a gateway’s health', () => {
  let server: Server;
  let url: string;
  let status = 200;
  beforeAll(async () => {
    server = createServer((_, response) => void response.writeHead(status).end('{}'));
    await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/readyz`;
  });
  afterAll(() => server.close());

  it('is what it answers', async () => {
    await expect(checkUrl(url)).resolves.toBe('answers 200');
    status = 503;
    await expect(checkUrl(url)).rejects.toThrow('it is not ready');
    await expect(checkUrl('http://127.0.0.1:1/readyz')).rejects.toThrow('it does not answer');
  });
});
