import { constants } from 'node:fs';
import { access, mkdir } from 'node:fs/promises';
import { hostname } from 'node:os';
import { hasCode } from '../src/adapters/local-store/fs-errors';
import { createLocalSpool } from '../src/adapters/spool/local-spool';
import { InvalidInputError } from '../src/errors';
import type { Spool } from '../src/gateway/recording/spool';
import type { Environment } from './env';
import { processIdentity } from './servers/process-table';

/**
 * What is set up wrongly. A full disk is not, nor one that was made read-only because it fails: calls are answered without being recorded
 * until somebody has mended it.
 */
const UNUSABLE = ['EEXIST', 'ENOTDIR', 'EACCES', 'EPERM'];

/** @throws {InvalidInputError} if no live call could ever be recorded there: said at the start, and not by the calls that are lost. */
async function assertSpoolFolder(root: string): Promise<void> {
  try {
    await mkdir(root, { recursive: true, mode: 0o700 });
    await access(root, constants.R_OK | constants.W_OK | constants.X_OK);
  } catch (cause) {
    if (!hasCode(cause, ...UNUSABLE)) return; // may pass; the drain says it until it does
    throw new InvalidInputError(
      'the spool cannot be used: expected a folder that this user may write to; name one in RATCHET_SPOOL',
      { context: { root }, cause },
    );
  }
}

/** That of one of `processes` that share the folder and its limit. @throws {InvalidInputError} if the folder cannot be used. */
export async function openSpool(
  { spool }: Pick<Environment, 'spool'>,
  processes = 1,
): Promise<Spool> {
  await assertSpoolFolder(spool.root);
  const identity = (await processIdentity(process.pid)) ?? '';
  return createLocalSpool({
    root: spool.root,
    maxBytes: Math.ceil(spool.maxBytes / processes),
    maxFileAgeMs: spool.maxAgeMs,
    processes: {
      self: { pid: process.pid, identity, host: hostname() },
      identityOf: processIdentity,
    },
  });
}
