import { join } from 'node:path';
import { NotFoundError, TransientError } from '../../src/errors';
import { packageRoot } from '../../src/adapters/dist-path';
import type { Exec } from './exec';
import type { ProvisionProgress } from './provision-progress';
import { executableName } from './server-cache';
import type { ServerSpec, Target } from './server-spec';
import { compareVersions } from './server-spec';

export interface BuildOptions {
  readonly exec: Exec;
  readonly env: NodeJS.ProcessEnv;
  readonly progress: ProvisionProgress;
  readonly signal: AbortSignal | undefined;
}

const TICK_MS = 1_000;
/** Go's own installer does not put itself on PATH. */
const GO_PROGRAMS = ['go', '/usr/local/go/bin/go'];

/**
 * Builds the server from the committed wrapper module, whose go.sum pins every byte of source. Runs at low priority.
 *
 * @returns the executable's path in `folder`.
 * @throws {NotFoundError} if no Go that is new enough is installed.
 * @throws {TransientError} if the build fails, with the end of what it printed (an unreachable module proxy, a full disk).
 */
export async function buildServer(
  spec: ServerSpec,
  target: Target,
  folder: string,
  { exec, env, progress, signal }: BuildOptions,
): Promise<string> {
  const options = signal === undefined ? {} : { signal };
  const go = await findGo(spec, env, exec);
  const made = join(folder, executableName(spec, target));
  const startedAt = Date.now();
  let packages = 0;
  const tick = (): void =>
    progress({
      kind: 'building',
      title: spec.title,
      elapsedMs: Date.now() - startedAt,
      expectedMs: spec.go.expectedSeconds * 1000,
      packages,
      expectedPackages: spec.go.expectedPackages,
    });
  tick();
  const ticker = setInterval(tick, TICK_MS);
  try {
    const { ldflags } = spec.go;
    const { code, stderr } = await exec(
      go,
      [
        'build',
        '-v',
        '-trimpath',
        '-buildvcs=false',
        '-ldflags',
        ldflags,
        '-o',
        made,
        spec.go.package,
      ],
      {
        ...options,
        cwd: join(packageRoot(), spec.go.moduleFolder),
        env: goEnvironment(env),
        lowPriority: true,
        // -v prints the name of each package as it is compiled, and `go: …` lines about downloads.
        onStderrLine: (line) => {
          if (!line.startsWith('go: ')) packages++;
        },
      },
    );
    if (code !== 0) {
      throw new TransientError(`go build ended with status ${code}: ${lastLines(stderr, 6)}`);
    }
    return made;
  } finally {
    clearInterval(ticker);
  }
}

/** A static binary for this machine, with the toolchain that go.mod asks for, whatever workspace the checkout lies in. */
function goEnvironment(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return {
    ...env,
    CGO_ENABLED: '0',
    GOTOOLCHAIN: env.GOTOOLCHAIN || 'auto', // some distributions' go.env says `local`
    GOWORK: 'off',
    GOOS: undefined,
    GOARCH: undefined,
  };
}

async function findGo(spec: ServerSpec, env: NodeJS.ProcessEnv, exec: Exec): Promise<string> {
  const reasons: string[] = [];
  for (const program of GO_PROGRAMS) {
    try {
      const { code, stdout } = await exec(program, ['version'], { env });
      const version = /go(\d+(?:\.\d+)*)/.exec(stdout)?.[1];
      if (code !== 0 || version === undefined) reasons.push(`${program} does not run`);
      else if (compareVersions(version, spec.go.minimumVersion) >= 0) return program;
      else reasons.push(`${program} is ${version}, too old`);
    } catch (error) {
      if (!(error instanceof NotFoundError)) throw error; // not installed there: the next place
    }
  }
  throw new NotFoundError(reasons.length > 0 ? reasons.join('; ') : 'Go is not installed');
}

function lastLines(text: string, count: number): string {
  const lines = text.split('\n').filter((line) => line.trim() !== '');
  const telling = lines.filter((line) => !/^go: downloading |^[\w.-]+(\/[\w.-]+)*$/.test(line));
  return (telling.length > 0 ? telling : lines).slice(-count).join('\n');
}
