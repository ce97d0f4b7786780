import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { InvalidInputError, TransientError } from '../../src/errors';

/** PyTorch and transformers, in a process of their own; see transformers_reference.py for the commands. */
export interface Transformers {
  /** One command at a time. */
  ask<T>(command: Readonly<Record<string, unknown>>): Promise<T>;
  close(): void;
}

/** @param python a Python that has torch and transformers. @throws {TransientError} if it ends without an answer. */
export function startTransformers(python: string): Transformers {
  const script = join(__dirname, '../../../bench/support/transformers_reference.py');
  const child = spawn(python, [script], { stdio: ['pipe', 'pipe', 'inherit'] });
  child.on('error', () => undefined); // it then gives no line, which is what `ask` waits for
  child.stdin.on('error', () => undefined); // as before: it ended
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  return {
    async ask<T>(command: Readonly<Record<string, unknown>>): Promise<T> {
      child.stdin.write(`${JSON.stringify(command)}\n`);
      const line = await lines.next();
      if (line.done === true) {
        throw new TransientError(
          'the Python named by PYTHON ended: expected one that has torch and transformers',
          { context: { python } },
        );
      }
      const reply = JSON.parse(line.value) as T & { error?: string };
      if (reply.error !== undefined) {
        throw new InvalidInputError(`transformers: ${reply.error}`, { context: { python } });
      }
      return reply;
    },
    close: () => void child.stdin.end(),
  };
}
