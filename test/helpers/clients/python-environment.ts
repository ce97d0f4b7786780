import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { access, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { withFileLock } from '../../../workers/servers/file-lock';

const run = promisify(execFile);

/** The Python that has the clients; or why there is none here, which makes their tests skipped, and never passed. */
export type PythonEnvironment = { readonly python: string } | { readonly missing: string };

const REQUIREMENTS = join(__dirname, '../../clients/python/requirements.txt');
/** Minor versions of Python 3 for which there are wheels of everything. With another, pip would compile for an hour, if it can. */
const OLDEST = 10;
const NEWEST = 14;
const INSTALL_MS = 8 * 60_000;

/** What pip says where no package index can be reached. Any other failure of it is a failure of ours. */
const NO_INDEX =
  /Retrying \(Retry|Failed to establish a new connection|Name or service not known|Temporary failure in name resolution|NewConnectionError|ConnectTimeoutError|ProxyError|from versions: none/;

/**
 * Provides a virtual environment with exactly the packages of requirements.txt, once per content of that file: below RATCHET_CACHE,
 * XDG_CACHE_HOME or ~/.cache, like the servers that tests use. It appears whole or not at all.
 */
export async function providePython(env: NodeJS.ProcessEnv): Promise<PythonEnvironment> {
  const base = await findPython();
  if (base === null) {
    const versions = `3.${OLDEST} to 3.${NEWEST}`;
    return { missing: `no Python ${versions} with its venv module is on PATH` };
  }
  const digest = createHash('sha256')
    .update(await readFile(REQUIREMENTS))
    .update(base.version)
    .digest('hex');
  const root = env.RATCHET_CACHE || env.XDG_CACHE_HOME || join(homedir(), '.cache');
  const folder = join(root, 'ratchet', 'clients');
  const ready = join(folder, digest.slice(0, 16));
  const python = join(ready, process.platform === 'win32' ? 'Scripts/python.exe' : 'bin/python');
  await mkdir(folder, { recursive: true });
  return withFileLock(`${ready}.lock`, async () => {
    if (await exists(join(ready, 'installed'))) return { python };
    await rm(ready, { recursive: true, force: true });
    // An environment knows its own path, so it is made where it stays; the mark comes last.
    await run(base.command, ['-m', 'venv', ready]);
    const options = ['--quiet', '--disable-pip-version-check', '--no-input', '--retries', '2'];
    const packages = ['--no-deps', '--prefer-binary', '-r', REQUIREMENTS];
    try {
      await run(python, ['-m', 'pip', 'install', ...options, ...packages], {
        ...{ timeout: INSTALL_MS, maxBuffer: 1 << 24 },
      });
    } catch (error) {
      await rm(ready, { recursive: true, force: true });
      const { stderr = '' } = error as { readonly stderr?: string };
      if (NO_INDEX.test(stderr)) return { missing: 'no package index for Python can be reached' };
      throw error;
    }
    await writeFile(join(ready, 'installed'), '');
    return { python };
  });
}

interface BasePython {
  readonly command: string;
  readonly version: string;
}

async function findPython(): Promise<BasePython | null> {
  const script = 'import sys, venv, ensurepip; print(*sys.version_info[:3], sys.executable)';
  const named = Array.from({ length: NEWEST - OLDEST + 1 }, (_, i) => `python3.${NEWEST - i}`);
  for (const command of ['python3', 'python', ...named]) {
    try {
      const { stdout: version } = await run(command, ['-c', script]);
      const [major = 0, minor = 0] = version.split(' ').map(Number);
      if (major === 3 && minor >= OLDEST && minor <= NEWEST) return { command, version };
    } catch {
      continue; // it is not there, or has no venv: the next one may
    }
  }
  return null;
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
