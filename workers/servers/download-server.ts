import { createWriteStream } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable, Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { describeError, NotFoundError, TransientError } from '../../src/errors';
import type { Exec } from './exec';
import type { ProvisionProgress } from './provision-progress';
import { executableName } from './server-cache';
import type { ServerSpec, Target } from './server-spec';

export interface DownloadOptions {
  readonly exec: Exec;
  readonly fetch: typeof fetch;
  readonly progress: ProvisionProgress;
  readonly signal: AbortSignal | undefined;
  /** How long a host may take to begin its answer: where it is blocked, people wait for this. */
  readonly fetchTimeoutMs: number;
}

/** A download that has begun may take minutes on a slow line; one that delivers nothing for this long has died. */
const STALL_MS = 20_000;
const PROGRESS_EVERY_MS = 500;

/**
 * Downloads the first archive that a host delivers and unpacks the executable with the system's `tar` (which reads zip
 * archives on Windows). Trust in the bytes is HTTPS to the publisher: the caller checks the version that they report.
 *
 * @returns the executable's path below `folder`.
 * @throws {TransientError} if no host delivers, with each host's reason.
 */
export async function downloadServer(
  spec: ServerSpec,
  target: Target,
  folder: string,
  options: DownloadOptions,
): Promise<string> {
  const urls = spec.downloads(target);
  if (urls.length === 0) {
    throw new NotFoundError(`no archive is published for ${target.platform} on ${target.arch}`);
  }
  const reasons: string[] = [];
  for (const [i, url] of urls.entries()) {
    try {
      return await downloadOne(spec, target, url, join(folder, `download-${i}`), options);
    } catch (error) {
      options.signal?.throwIfAborted(); // the next host would only be aborted too
      reasons.push(`${new URL(url).host}: ${describeError(error)}`);
    }
  }
  throw new TransientError(reasons.join('; '));
}

async function downloadOne(
  spec: ServerSpec,
  target: Target,
  url: string,
  folder: string,
  { exec, fetch, progress, signal, fetchTimeoutMs }: DownloadOptions,
): Promise<string> {
  await mkdir(folder);
  const archive = join(folder, 'archive');
  const patience = new AbortController();
  const giveUp = (ms: number): void =>
    patience.abort(new TransientError(`no data for ${(ms / 1000).toFixed(0)} s`));
  let timer = setTimeout(giveUp, fetchTimeoutMs, fetchTimeoutMs);
  const waitAgain = (): void => {
    clearTimeout(timer);
    timer = setTimeout(giveUp, STALL_MS, STALL_MS);
  };
  const either =
    signal === undefined ? patience.signal : AbortSignal.any([signal, patience.signal]);
  try {
    progress({ kind: 'downloading', url, receivedBytes: 0 });
    const response = await fetch(url, { signal: either });
    if (!response.ok || response.body === null) {
      throw new TransientError(`expected the archive, got HTTP status ${response.status}`);
    }
    const length = Number(response.headers.get('content-length') ?? NaN);
    let [receivedBytes, shownAt] = [0, 0];
    const meter = new Transform({
      transform(chunk: Buffer, _encoding, done) {
        waitAgain();
        receivedBytes += chunk.length;
        if (Date.now() - shownAt >= PROGRESS_EVERY_MS) {
          shownAt = Date.now();
          const totalBytes = Number.isFinite(length) ? { totalBytes: length } : {};
          progress({ kind: 'downloading', url, receivedBytes, ...totalBytes });
        }
        done(null, chunk);
      },
    });
    waitAgain();
    await pipeline(Readable.fromWeb(response.body), meter, createWriteStream(archive), {
      signal: either,
    });
  } catch (error) {
    // fetch and pipeline report an abort in their own words; the reason says more.
    throw patience.signal.aborted ? patience.signal.reason : error;
  } finally {
    clearTimeout(timer);
  }
  const member = executableName(spec, target);
  const unpacked = await exec('tar', ['-xf', archive, '-C', folder, member], {
    ...(signal === undefined ? {} : { signal }),
  });
  if (unpacked.code !== 0) {
    throw new TransientError(
      `the archive does not unpack: tar ended with status ${unpacked.code}: ${unpacked.stderr.trim()}`,
    );
  }
  return join(folder, member);
}
