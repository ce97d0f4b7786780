import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { InvalidInputError, NotFoundError } from '../../../src/errors';
import type { Exec, ExecOptions } from '../../../workers/servers/exec';
import type { ProvisionOptions } from '../../../workers/servers/provision';
import { provision } from '../../../workers/servers/provision';
import type { ProvisionEvent } from '../../../workers/servers/provision-progress';
import { minioSpec, temporalSpec } from '../../../workers/servers/server-spec';

let root: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'ratchet-provision-'));
});
afterEach(() => rm(root, { recursive: true, force: true }));

/**
 * A machine on which a "binary" is a file that holds the version it reports. It has `tar`, and Go if `go` names a version;
 * `calls` are the programs that were run.
 */
class FakeMachine {
  readonly calls: string[] = [];
  readonly events: ProvisionEvent[] = [];
  go: string | undefined = '1.24.4';
  builds = '1.8.2';
  unpacks = '1.8.2';
  buildStarted: () => void = () => undefined;
  buildTakes: Promise<unknown> = Promise.resolve();
  buildOptions: ExecOptions | undefined;
  fetch: typeof fetch = () => Promise.reject(new Error('getaddrinfo ENOTFOUND'));

  readonly exec: Exec = async (file, args, options = {}) => {
    const name = file.startsWith(root) ? basename(file) : file;
    this.calls.push(`${name} ${args[0]}`);
    const done = { code: 0, stdout: '', stderr: '' };
    if (file === 'go' && this.go !== undefined) {
      if (args[0] === 'version') return { ...done, stdout: `go version go${this.go} linux/amd64` };
      this.buildOptions = options;
      this.buildStarted();
      await this.buildTakes;
      options.signal?.throwIfAborted();
      options.onStderrLine?.('go.temporal.io/server');
      if (this.builds === '')
        return { ...done, code: 1, stderr: 'go: downloading x\nno such host' };
      await writeFile(args[args.indexOf('-o') + 1]!, this.builds);
      return done;
    }
    if (file === 'tar') {
      await writeFile(join(args[args.indexOf('-C') + 1]!, args.at(-1)!), this.unpacks);
      return done;
    }
    if (args[0] === '--version') {
      const version = await readFile(file, 'utf8').catch(() => undefined);
      if (version !== undefined)
        return { ...done, stdout: `temporal version ${version} (Server 1)` };
    }
    throw new NotFoundError('a program cannot be started', { context: { file } });
  };

  provision(env: NodeJS.ProcessEnv = {}, options: Partial<ProvisionOptions> = {}) {
    return provision(temporalSpec, {
      exec: this.exec,
      fetch: this.fetch,
      progress: (event) => this.events.push(event),
      target: { platform: 'linux', arch: 'x64' },
      env: { RATCHET_CACHE: root, ...env },
      ...options,
    });
  }

  reasons(): string {
    return this.events.map((event) => (event.kind === 'way-failed' ? event.reason : '')).join('');
  }

  notes(): string {
    return this.events.map((event) => (event.kind === 'note' ? event.message : '')).join('\n');
  }
}

const cacheFolder = () => join(root, 'ratchet/servers/temporal/1.8.2/linux-x64');
const cached = () => join(cacheFolder(), 'temporal');

async function putBinary(folder: string, version: string): Promise<string> {
  await mkdir(join(root, folder), { recursive: true });
  const path = join(root, folder, 'temporal');
  await writeFile(path, version, { mode: 0o755 });
  return path;
}

const archive = (): Promise<Response> => Promise.resolve(new Response('archive'));

describe('the order of the ways', () => {
  test('the environment variable comes first, whatever version it names', async () => {
    const machine = new FakeMachine();
    const own = await putBinary('own', '1.5.1');
    const PATH = join(root, 'bin');
    await putBinary('bin', '1.8.2');
    const found = await machine.provision({ TEMPORAL_CLI: own, PATH });
    expect(found).toEqual({ path: own, version: '1.5.1', way: 'environment' });
    expect(machine.notes()).toContain('names version 1.5.1; tested is 1.8.2 or a later 1.x');
  });

  test('an environment variable that names nothing is an error, and nothing else is tried', async () => {
    const machine = new FakeMachine();
    await expect(machine.provision({ TEMPORAL_CLI: '/nowhere/temporal' })).rejects.toThrow(
      /TEMPORAL_CLI must name a Temporal CLI that runs.*unset it \[path=\/nowhere\/temporal\]/s,
    );
    expect(machine.calls).toHaveLength(1);
  });

  test('a binary on PATH is used if its version will do; others are skipped with a note', async () => {
    const machine = new FakeMachine();
    await putBinary('old', '1.5.1');
    await putBinary('next', '2.0.0');
    const good = await putBinary('good', '1.10.0');
    const PATH = ['relative', 'missing', 'old', 'next', 'good'].map((name, i) =>
      i === 0 ? name : join(root, name),
    );
    const found = await machine.provision({ PATH: PATH.join(':') });
    expect(found).toEqual({ path: good, version: '1.10.0', way: 'path' });
    expect(machine.notes()).toContain('old/temporal is skipped: is version 1.5.1');
    expect(machine.notes()).toContain('next/temporal is skipped: is version 2.0.0');
  });

  test('a download comes before a build, and lands in the cache with its checksum', async () => {
    const machine = new FakeMachine();
    const asked: string[] = [];
    machine.fetch = (url) => {
      asked.push(url as string);
      return archive();
    };
    expect(await machine.provision()).toEqual({
      path: cached(),
      version: '1.8.2',
      way: 'download',
    });
    expect(asked).toEqual([
      'https://temporal.download/cli/archive/v1.8.2?platform=linux&arch=amd64',
    ]);
    expect(await readFile(`${cached()}.sha256`, 'utf8')).toBe(
      `${createHash('sha256').update('1.8.2').digest('hex')}  temporal\n`,
    );
    expect((await readdir(cacheFolder())).sort()).toEqual(['temporal', 'temporal.sha256']);
  });

  test('the second host is asked when the first refuses', async () => {
    const machine = new FakeMachine();
    machine.fetch = (url) =>
      (url as string).includes('github.com')
        ? archive()
        : Promise.resolve(new Response(null, { status: 403 }));
    expect((await machine.provision()).way).toBe('download');
  });

  test('a build comes last: from the committed module, static, at low priority', async () => {
    const machine = new FakeMachine();
    expect(await machine.provision()).toMatchObject({ path: cached(), way: 'build' });
    expect(machine.buildOptions?.cwd).toMatch(/docker\/servers\/temporal$/);
    expect(machine.buildOptions?.env).toMatchObject({ CGO_ENABLED: '0', GOTOOLCHAIN: 'auto' });
    expect(machine.buildOptions?.lowPriority).toBe(true);
    expect(machine.events.map(({ kind }) => kind)).toEqual([
      'downloading',
      'downloading',
      'way-failed',
      'building',
      'found',
    ]);
  });

  test('what is in the cache is used without running anything', async () => {
    await new FakeMachine().provision();
    const machine = new FakeMachine();
    expect(await machine.provision()).toMatchObject({ path: cached(), way: 'cache' });
    expect(machine.calls).toEqual([]);
  });
});

describe('what goes wrong', () => {
  test('a damaged cache entry is noticed by its checksum and made anew', async () => {
    await new FakeMachine().provision();
    await writeFile(cached(), '1.8.2 with a flipped bit');
    const machine = new FakeMachine();
    expect((await machine.provision()).way).toBe('build');
    expect(machine.notes()).toContain('is damaged (expected sha256');
    expect(await readFile(cached(), 'utf8')).toBe('1.8.2');
  });

  test('a binary without its checksum, as a crash leaves it, is not trusted', async () => {
    await new FakeMachine().provision();
    await rm(`${cached()}.sha256`);
    expect((await new FakeMachine().provision()).way).toBe('build');
  });

  test('an archive that holds another version is refused and the build is tried', async () => {
    const machine = new FakeMachine();
    machine.fetch = archive;
    machine.unpacks = '1.7.0';
    expect((await machine.provision()).way).toBe('build');
    expect(machine.events).toContainEqual({
      kind: 'way-failed',
      way: 'download',
      reason: 'expected a binary of version 1.8.2, got version 1.7.0',
    });
  });

  test('a host that never answers is given up after the patience it was granted', async () => {
    const machine = new FakeMachine();
    machine.fetch = (_url, init) =>
      new Promise((_resolve, reject) => {
        init?.signal?.addEventListener('abort', () => reject(new Error('aborted')));
      });
    expect((await machine.provision({}, { fetchTimeoutMs: 20 })).way).toBe('build');
    expect(machine.reasons()).toContain('no data for 0 s');
  });

  test('if every way fails, one error names each way out and why it failed here', async () => {
    const machine = new FakeMachine();
    machine.go = undefined;
    const PATH = join(root, 'old');
    await putBinary('old', '1.5.1');
    const error: unknown = await machine.provision({ PATH }).catch((e: unknown) => e);
    expect(error).toBeInstanceOf(InvalidInputError);
    expect((error as Error).message.replaceAll(root, '/root')).toMatchInlineSnapshot(`
     "the Temporal CLI 1.8.2 could not be provided; any one of these is a way out:
       1. set TEMPORAL_CLI to the path of a Temporal CLI
          here: not set
       2. put \`temporal\` (1.8.2 or a later 1.x) on PATH
          here: /root/old/temporal is version 1.5.1
       3. allow downloads from temporal.download or github.com
          here: temporal.download: getaddrinfo ENOTFOUND; github.com: getaddrinfo ENOTFOUND
       4. install Go 1.21 or newer with access to a module proxy (GOPROXY); the build takes about 4 minutes, once
          here: Go is not installed
     What is downloaded or built is kept in /root/ratchet/servers/temporal/1.8.2/linux-x64 (RATCHET_CACHE moves it)."
    `);
  });

  test('a server that nobody publishes as a binary has no download among its ways out', async () => {
    const machine = new FakeMachine();
    machine.go = undefined;
    const { exec, fetch } = machine;
    const env = { RATCHET_CACHE: root };
    const provisioning = provision(minioSpec, { exec, fetch, env });
    await expect(provisioning).rejects.toThrow(/1\. set MINIO_SERVER.*3\. install Go/s);
    await expect(provision(minioSpec, { exec, fetch, env })).rejects.not.toThrow(/downloads from/);
  });

  test.each([
    ['1.19.8', /go is 1\.19\.8, too old/],
    ['1.26.8', /go build ended with status 1: no such host/],
  ])('with Go %s the error says why the build failed', async (version, reason) => {
    const machine = new FakeMachine();
    machine.go = version;
    machine.builds = '';
    await expect(machine.provision()).rejects.toThrow(reason);
  });

  test('a cache folder that cannot be made is an error that says how to move it', async () => {
    await writeFile(join(root, 'file'), '');
    const blocked = new FakeMachine().provision({ RATCHET_CACHE: join(root, 'file') });
    await expect(blocked).rejects.toThrow(/set RATCHET_CACHE/);
  });
});

describe('several at once', () => {
  test('two that need the binary build it once, and the second says what it waits for', async () => {
    const machine = new FakeMachine();
    let finish: () => void = () => undefined;
    machine.buildTakes = new Promise<void>((resolve) => (finish = resolve));
    const started = new Promise<void>((resolve) => (machine.buildStarted = resolve));
    const first = machine.provision();
    await started;
    let second: Promise<{ way: string }> | undefined;
    const waiting = new Promise<void>((resolve) => {
      const progress = (event: ProvisionEvent): void => {
        if (event.kind === 'waiting') resolve();
      };
      second = machine.provision({}, { progress });
    });
    await waiting;
    finish();
    expect([(await first).way, (await second)?.way]).toEqual(['build', 'cache']);
    expect(machine.calls.filter((call) => call === 'go build')).toHaveLength(1);
  });

  test('stopping in the middle of a build leaves neither lock nor half a binary, and is not a failed way', async () => {
    const machine = new FakeMachine();
    const stop = new AbortController();
    const reason = new Error('Ctrl-C');
    machine.buildStarted = () => stop.abort(reason);
    await expect(machine.provision({}, { signal: stop.signal })).rejects.toBe(reason);
    expect(await readdir(cacheFolder())).toEqual([]);
    expect((await new FakeMachine().provision()).way).toBe('build');
  });

  test('what a killed build left behind is removed by the next', async () => {
    await mkdir(join(cacheFolder(), '.work-killed'), { recursive: true });
    await new FakeMachine().provision();
    expect((await readdir(cacheFolder())).sort()).toEqual(['temporal', 'temporal.sha256']);
  });
});
