import { open, readdir, readFile } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import { NotFoundError } from '../errors';
import type { ModelFolder } from '../policies/language/model-folder';

/** A model's folder on this machine. Large files are read by their place, never as a whole. */
export function localModelFolder(path: string): ModelFolder {
  const root = resolve(path);
  const missing = (file: string, cause: unknown): Error => {
    if ((cause as NodeJS.ErrnoException).code !== 'ENOENT') return cause as Error;
    return new NotFoundError('a model folder lacks a file', {
      context: { folder: root, file },
      cause,
    });
  };
  return {
    name: basename(root),
    async read(file) {
      try {
        return await readFile(join(root, file));
      } catch (cause) {
        throw missing(file, cause);
      }
    },
    async open(file) {
      const handle = await open(join(root, file)).catch((cause: unknown) => {
        throw missing(file, cause);
      });
      const { size } = await handle.stat();
      return {
        sizeBytes: size,
        async read(offset, length) {
          const buffer = Buffer.allocUnsafeSlow(Math.max(0, Math.min(length, size - offset)));
          let done = 0;
          while (done < buffer.length) {
            const { bytesRead } = await handle.read(
              buffer,
              done,
              buffer.length - done,
              offset + done,
            );
            if (bytesRead === 0) break; // it became shorter
            done += bytesRead;
          }
          return buffer.subarray(0, done);
        },
        close: () => handle.close(),
      };
    },
    async list() {
      try {
        return await readdir(root);
      } catch (cause) {
        throw missing('', cause);
      }
    },
  };
}
