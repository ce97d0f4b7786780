import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { NotFoundError } from '../errors';

/** The folder that holds package.json: the checkout, or the installed package. Works from sources and from dist/. */
export function packageRoot(): string {
  let folder = __dirname;
  while (!existsSync(join(folder, 'package.json'))) {
    const parent = dirname(folder);
    if (parent === folder) {
      throw new NotFoundError('package.json was not found above the running code', {
        context: { from: __dirname },
      });
    }
    folder = parent;
  }
  return folder;
}

/**
 * The compiled file of a module that is run in a thread or process of its own. Threads and child processes start from
 * JavaScript, also when the caller itself runs from TypeScript (jest).
 *
 * @param relative path below dist/, e.g. `src/adapters/ort/worker.js`.
 * @throws {NotFoundError} if the project was not built.
 */
export function distPath(relative: string): string {
  const path = join(packageRoot(), 'dist', relative);
  if (!existsSync(path)) {
    throw new NotFoundError('a compiled file is missing: run `npm run build`', {
      context: { path },
    });
  }
  return path;
}
