import type { Exec, ExecResult } from './exec';

/** `temporal operator <args>` against one server. */
export type OperatorCommand = (args: readonly string[]) => Promise<ExecResult>;

const TIMEOUT_MS = 15_000;

/** The user's own profile (another server's TLS, API key, namespace) must not reach the dev server on loopback. */
const ONLY_THIS_SERVER = ['--disable-config-env', '--disable-config-file'];

export function operatorCommand(
  exec: Exec,
  binary: string,
  address: string,
  signal?: AbortSignal,
): OperatorCommand {
  return (args) =>
    exec(binary, ['operator', ...args, '--address', address, ...ONLY_THIS_SERVER], {
      timeoutMs: TIMEOUT_MS,
      ...(signal === undefined ? {} : { signal }),
    });
}
