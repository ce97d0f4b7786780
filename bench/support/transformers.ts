import { spawn, type ChildProcess } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { InvalidInputError, TransientError } from '../../src/errors';

/** PyTorch and transformers, in a process of their own; see transformers_reference.py for the commands. */
export interface Transformers {
  ask<T>(command: Readonly<Record<string, unknown>>): Promise<T>;
  close(): void;
}

/** @param python a Python that has torch and transformers. @throws {TransientError} if it ends without an answer. */
export function startTransformers(python: string, threads: number): Transformers {
  const script = join(__dirname, '../../../bench/support/transformers_reference.py');
  const child: ChildProcess = spawn(python, [script, String(threads)], {
    stdio: ['pipe', 'pipe', 'ignore'],
    env: { ...process.env, OMP_NUM_THREADS: String(threads) },
  });
  const waiting: ((line: string | null) => void)[] = [];
  if (child.stdout !== null) {
    createInterface({ input: child.stdout }).on('line', (line) => waiting.shift()?.(line));
  }
  child.on('exit', () => waiting.splice(0).forEach((resolve) => resolve(null)));
  child.on('error', () => waiting.splice(0).forEach((resolve) => resolve(null)));
  return {
    async ask<T>(command: Readonly<Record<string, unknown>>): Promise<T> {
      const line = await new Promise<string | null>((resolve) => {
        waiting.push(resolve);
        child.stdin?.write(`${JSON.stringify(command)}\n`);
      });
      if (line === null) {
        throw new TransientError(
          'the Python named by PYTHON ended: does it have torch and transformers?',
          {
            context: { python },
          },
        );
      }
      const reply = JSON.parse(line) as T & { error?: string };
      if (reply.error !== undefined) {
        throw new InvalidInputError(`transformers: ${reply.error}`, { context: { python } });
      }
      return reply;
    },
    close: () => void child.stdin?.end(),
  };
}
