import { spawn } from 'node:child_process';
import { loadClientConfigProfile } from '@temporalio/envconfig';
import { exitCode } from './exec';
import { provision } from './provision';
import { renderProvisionProgress } from './provision-progress';
import { temporalSpec } from './server-spec';
import type { ServersOptions } from './servers';
import { serversStatus } from './servers';

export interface TemporalCliOptions extends ServersOptions {
  readonly env?: NodeJS.ProcessEnv;
}

/** Flags with which the user says which server is meant. */
const NAMES_A_SERVER = ['--address', '--profile', '--config-file', '--env'];

/**
 * Runs the provisioned `temporal` with this process's own standard streams. It talks to this project's dev server if
 * that runs and the user named no other (flag, TEMPORAL_ADDRESS, TOML profile).
 *
 * @returns the exit status, as a shell counts it.
 */
export async function runTemporalCli(
  args: readonly string[],
  options: TemporalCliOptions = {},
): Promise<number> {
  const env = options.env ?? process.env;
  const [{ path }, address] = await Promise.all([
    provision(temporalSpec, { env, progress: quietly(renderProvisionProgress()) }),
    ownAddress(args, env, options),
  ]);
  const child = spawn(path, args, {
    stdio: 'inherit',
    env: address === undefined ? env : { ...env, TEMPORAL_ADDRESS: address },
  });
  // A terminal's Ctrl-C reaches the child by itself; this process only has to outlive it.
  const forward = (signal: NodeJS.Signals): unknown => child.kill(signal);
  const ignore = (): undefined => undefined;
  process.on('SIGTERM', forward).on('SIGINT', ignore);
  try {
    return await new Promise<number>((resolve, reject) => {
      child.once('error', reject).once('exit', (code, by) => resolve(exitCode(code, by)));
    });
  } finally {
    process.off('SIGTERM', forward).off('SIGINT', ignore);
  }
}

async function ownAddress(
  args: readonly string[],
  env: NodeJS.ProcessEnv,
  options: ServersOptions,
): Promise<string | undefined> {
  const flagged = args.some((arg) =>
    NAMES_A_SERVER.some((flag) => arg === flag || arg.startsWith(`${flag}=`)),
  );
  if (flagged || configuredAddress(env) !== undefined) return undefined;
  const { temporal } = await serversStatus(options);
  return temporal.state === 'running' ? temporal.address : undefined;
}

/** The address of the user's environment and TOML profile, read as the CLI itself reads it. */
function configuredAddress(env: NodeJS.ProcessEnv): string | undefined {
  const overrideEnvVars = Object.fromEntries(
    Object.entries(env).filter((entry): entry is [string, string] => entry[1] !== undefined),
  );
  try {
    return loadClientConfigProfile({ overrideEnvVars }).address;
  } catch {
    return undefined; // a profile that cannot be read: the CLI says so itself, and better
  }
}

/** Where a binary was found is of no interest in front of every command's output. */
function quietly(render: ReturnType<typeof renderProvisionProgress>): typeof render {
  return (event) => {
    if (event.kind !== 'found') render(event);
  };
}
