import { access, constants, mkdir, stat } from 'node:fs/promises';
import { delimiter, isAbsolute, join } from 'node:path';
import { describeError, InvalidInputError } from '../../src/errors';
import { buildServer } from './build-server';
import { downloadServer } from './download-server';
import type { Exec } from './exec';
import { exec as realExec } from './exec';
import { withFileLock } from './file-lock';
import type { ProvisionProgress, Way } from './provision-progress';
import type { CacheEntry } from './server-cache';
import {
  cacheEntry,
  executableName,
  inspectCache,
  installInCache,
  withWorkFolder,
} from './server-cache';
import type { ServerSpec, Target } from './server-spec';

export interface ProvisionOptions {
  readonly progress?: ProvisionProgress;
  readonly signal?: AbortSignal;
  readonly env?: NodeJS.ProcessEnv;
  readonly fetchTimeoutMs?: number;
  /** The machine, for tests. */
  readonly exec?: Exec;
  readonly fetch?: typeof fetch;
  readonly target?: Target;
}

export interface ProvisionedServer {
  readonly path: string;
  readonly version: string;
  readonly way: Way;
}

interface Context {
  readonly spec: ServerSpec;
  readonly env: NodeJS.ProcessEnv;
  readonly exec: Exec;
  readonly fetch: typeof fetch;
  readonly target: Target;
  readonly entry: CacheEntry;
  readonly progress: ProvisionProgress;
  readonly signal: AbortSignal | undefined;
  readonly fetchTimeoutMs: number;
  /** Why each way failed here, for the error that names all the ways out. */
  readonly reasons: Partial<Record<Way, string>>;
}

const VERSION_TIMEOUT_MS = 20_000;

/**
 * Finds or makes a server's binary: environment variable, PATH, cache, download, Go build. The last two end in the cache;
 * of several processes that need it at once, one works and the others wait.
 *
 * @throws {InvalidInputError} if the environment variable names something that does not run, or if every way failed:
 *   the message then lists each way out and why it failed here.
 * @throws the signal's reason when aborted.
 */
export async function provision(
  spec: ServerSpec,
  options: ProvisionOptions = {},
): Promise<ProvisionedServer> {
  const env = options.env ?? process.env;
  const target = options.target ?? { platform: process.platform, arch: process.arch };
  const context: Context = {
    spec,
    env,
    target,
    exec: options.exec ?? realExec,
    fetch: options.fetch ?? fetch,
    entry: cacheEntry(spec, target, env),
    progress: options.progress ?? (() => undefined),
    signal: options.signal,
    fetchTimeoutMs: options.fetchTimeoutMs ?? 5_000,
    reasons: {},
  };
  const found =
    (await fromEnvironment(context)) ??
    (await fromPath(context)) ??
    (await fromCache(context)) ??
    (await requireWritable(context.entry)) ??
    (await withFileLock(context.entry.lock, () => provide(context), {
      signal: context.signal,
      onWait: (holder) => context.progress({ kind: 'waiting', title: spec.title, holder }),
    }));
  context.progress({ kind: 'found', title: spec.title, way: found.way, path: found.path });
  return found;
}

/** What the user names is used whatever its version is; if it does not run, nothing else is tried in silence. */
async function fromEnvironment(context: Context): Promise<ProvisionedServer | undefined> {
  const { spec, env, progress } = context;
  const path = env[spec.environmentVariable];
  if (path === undefined || path === '') {
    context.reasons.environment = 'not set';
    return undefined;
  }
  const asked = await askVersion(context, path);
  if ('problem' in asked) {
    throw new InvalidInputError(
      `${spec.environmentVariable} must name a ${spec.title} that runs: ${asked.problem}; correct the variable, or unset it`,
      { context: { path } },
    );
  }
  if (!spec.accepts(asked.version)) {
    progress({
      kind: 'note',
      message: `${spec.environmentVariable} names version ${asked.version}; tested is ${spec.acceptsText}`,
    });
  }
  return { path, version: asked.version, way: 'environment' };
}

async function fromPath(context: Context): Promise<ProvisionedServer | undefined> {
  const { spec, env, target, progress } = context;
  const refused: string[] = [];
  for (const folder of (env.PATH ?? '').split(delimiter).filter(isAbsolute)) {
    const path = join(folder, executableName(spec, target));
    if (!(await isExecutableFile(path))) continue;
    const asked = await askVersion(context, path);
    if (!('problem' in asked) && spec.accepts(asked.version)) {
      return { path, version: asked.version, way: 'path' };
    }
    const why = 'problem' in asked ? asked.problem : `is version ${asked.version}`;
    refused.push(`${path} ${why}`);
    progress({
      kind: 'note',
      message: `${path} is skipped: ${why}, needed is ${spec.acceptsText}`,
    });
  }
  context.reasons.path = refused.length > 0 ? refused.join('; ') : 'not there';
  return undefined;
}

async function fromCache(context: Context): Promise<ProvisionedServer | undefined> {
  const { spec, entry, progress } = context;
  const cached = await inspectCache(entry);
  switch (cached.state) {
    case 'valid':
      return { path: entry.binary, version: spec.version, way: 'cache' };
    case 'absent':
      return undefined;
    case 'corrupted':
      progress({
        kind: 'note',
        message: `${entry.binary} is damaged (${cached.reason}) and is made anew`,
      });
      return undefined;
  }
}

async function requireWritable({ folder }: CacheEntry): Promise<undefined> {
  try {
    await mkdir(folder, { recursive: true });
    await access(folder, constants.W_OK);
  } catch (cause) {
    throw new InvalidInputError(
      'the cache folder cannot be written: set RATCHET_CACHE to a folder that can',
      { context: { folder }, cause },
    );
  }
}

/** Runs under the lock: whoever had it before may have filled the cache. */
async function provide(context: Context): Promise<ProvisionedServer> {
  const { spec, entry, target, progress, signal } = context;
  const cached = await fromCache(context);
  if (cached !== undefined) return cached;
  return withWorkFolder(entry, async (folder) => {
    const ways: readonly [Way, () => Promise<string>][] = [
      ['download', () => downloadServer(spec, target, folder, context)],
      ['build', () => buildServer(spec, target, folder, context)],
    ];
    for (const [way, make] of ways) {
      try {
        const made = await make();
        await requirePinnedVersion(context, made);
        await installInCache(entry, made);
        return { path: entry.binary, version: spec.version, way };
      } catch (error) {
        signal?.throwIfAborted(); // stopped by the user: not a failure of this way
        const reason = describeError(error);
        context.reasons[way] = reason;
        progress({ kind: 'way-failed', way, reason });
      }
    }
    throw everyWayFailed(context);
  });
}

async function requirePinnedVersion(context: Context, path: string): Promise<void> {
  const asked = await askVersion(context, path);
  const got = 'problem' in asked ? asked.problem : `version ${asked.version}`;
  if ('problem' in asked || asked.version !== context.spec.version) {
    throw new InvalidInputError(`expected a binary of version ${context.spec.version}, got ${got}`);
  }
}

async function askVersion(
  { spec, env, exec, signal }: Context,
  path: string,
): Promise<{ readonly version: string } | { readonly problem: string }> {
  try {
    const { code, stdout, stderr } = await exec(path, spec.versionArguments, {
      env,
      timeoutMs: VERSION_TIMEOUT_MS,
      ...(signal === undefined ? {} : { signal }),
    });
    const version = spec.versionPattern.exec(stdout)?.[1];
    if (code === 0 && version !== undefined) return { version };
    const printed = `${stdout}${stderr}`.trim().slice(0, 200);
    return {
      problem: `answers \`${spec.versionArguments.join(' ')}\` with status ${code}: ${printed}`,
    };
  } catch (error) {
    signal?.throwIfAborted();
    return { problem: describeError(error) };
  }
}

async function isExecutableFile(path: string): Promise<boolean> {
  try {
    await access(path, constants.X_OK);
    return (await stat(path)).isFile();
  } catch {
    return false; // absent, or not for us: the next folder of PATH
  }
}

function everyWayFailed({ spec, target, entry, reasons }: Context): InvalidInputError {
  const hosts = [...new Set(spec.downloads(target).map((url) => new URL(url).host))];
  const minutes = Math.ceil(spec.go.expectedSeconds / 60);
  const ways = [
    [`set ${spec.environmentVariable} to the path of a ${spec.title}`, reasons.environment],
    [`put \`${spec.executable}\` (${spec.acceptsText}) on PATH`, reasons.path],
    ...(hosts.length === 0
      ? []
      : [[`allow downloads from ${hosts.join(' or ')}`, reasons.download]]),
    [
      `install Go ${spec.go.minimumVersion} or newer with access to a module proxy (GOPROXY); the build takes about ${minutes} minutes, once`,
      reasons.build,
    ],
  ];
  const list = ways.map(([way, reason], i) => `  ${i + 1}. ${way}\n     here: ${reason}`);
  return new InvalidInputError(
    `the ${spec.title} ${spec.version} could not be provided; any one of these is a way out:\n${list.join('\n')}\n` +
      `What is downloaded or built is kept in ${entry.folder} (RATCHET_CACHE moves it).`,
  );
}
