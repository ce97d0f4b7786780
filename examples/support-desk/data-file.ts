import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** Parses a file of data/. It lies beside the sources: three folders up and back down from where this is compiled to. */
export function readDataFile(name: string): unknown {
  const beside = join(__dirname, 'data', name);
  const compiled = join(__dirname, '..', '..', '..', 'examples', 'support-desk', 'data', name);
  return JSON.parse(readFileSync(existsSync(beside) ? beside : compiled, 'utf8'));
}
