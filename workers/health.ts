import { readFile, rename, rm, writeFile } from 'node:fs/promises';
import { z } from 'zod';
import { describeError, TransientError } from '../src/errors';

const EVERY_MS = 5_000;
/** A process that has not said anything for so long hangs, or is gone. */
const STALE_AFTER_MS = 20_000;
const ANSWER_WITHIN_MS = 5_000;

const Health = z.object({
  state: z.enum(['polling', 'stopping']),
  pid: z.int(),
  /** Milliseconds since 1970. */
  at: z.number(),
});
type Health = z.infer<typeof Health>;

export interface HealthFile {
  /** Says it now, and again every few seconds; a process that hangs falls silent. */
  say(state: Health['state']): Promise<void>;
  close(): Promise<void>;
}

/** What a worker says about itself in a file: there is no port to agree on, and several fit on one machine. */
export function createHealthFile(
  path: string | null,
  warn: (message: string) => void,
  now: () => number = Date.now,
): HealthFile {
  let timer: NodeJS.Timeout | undefined;
  let writing: Promise<void> = Promise.resolve();
  const write = (state: Health['state']): Promise<void> => {
    if (path === null) return Promise.resolve();
    const text = JSON.stringify({ state, pid: process.pid, at: now() } satisfies Health);
    writing = writing.then(async () => {
      try {
        await writeFile(`${path}.${process.pid}`, text);
        await rename(`${path}.${process.pid}`, path); // a reader sees one whole version
      } catch (error) {
        warn(
          `the health file cannot be written, so the worker will seem dead: ${describeError(error)}`,
        );
      }
    });
    return writing;
  };
  return {
    async say(state) {
      clearInterval(timer);
      timer = setInterval(() => void write(state), EVERY_MS).unref();
      await write(state);
    },
    async close() {
      clearInterval(timer);
      await writing;
      if (path !== null) await rm(path, { force: true });
    },
  };
}

/** @throws {TransientError} saying why the worker of this file is not healthy. */
export async function checkHealthFile(path: string, now: () => number = Date.now): Promise<string> {
  let health: Health;
  try {
    health = Health.parse(JSON.parse(await readFile(path, 'utf8')));
  } catch (error) {
    throw new TransientError('no worker says that it is there: it starts, or it is gone', {
      context: { path },
      cause: error,
    });
  }
  const ageMs = now() - health.at;
  if (ageMs > STALE_AFTER_MS) {
    throw new TransientError('the worker has fallen silent: it hangs, or was killed', {
      context: { path, pid: health.pid, seconds: Math.round(ageMs / 1000) },
    });
  }
  if (health.state !== 'polling') {
    throw new TransientError('the worker takes no work', { context: { state: health.state } });
  }
  return `polling, pid ${health.pid}`;
}

/** @throws {TransientError} unless the URL (a gateway's `/readyz`) answers 2xx. */
export async function checkUrl(url: string): Promise<string> {
  let status: number;
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(ANSWER_WITHIN_MS) });
    await response.arrayBuffer();
    ({ status } = response);
  } catch (error) {
    throw new TransientError('it does not answer', { context: { url }, cause: error });
  }
  if (status >= 200 && status < 300) return `answers ${status}`;
  throw new TransientError('it is not ready', { context: { url, status } });
}
