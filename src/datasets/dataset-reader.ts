import { z } from 'zod';
import { IntegrityError } from '../errors';
import type { Digest } from '../schemas/ids';
import { Demonstration, Reference, Task, type Split } from '../schemas/task';
import { readDatasetFile } from '../storage/datasets';
import type { ObjectStore } from '../storage/object-store';

/**
 * Reads registered datasets. Tasks and references are read by different calls: what runs or trains never calls
 * `references`.
 */
export interface DatasetReader {
  /** The tasks of one split, in stored order. */
  tasks(name: string, digest: Digest, split: Split): Promise<readonly Task[]>;
  /** By task id: the labels. Only scorers and comparisons may ask. */
  references(name: string, digest: Digest): Promise<ReadonlyMap<string, Reference>>;
  demonstrations(name: string, digest: Digest): Promise<readonly Demonstration[]>;
}

/** Datasets are immutable, so what was parsed once is kept; a worker deals with few at a time. */
const KEPT = 8;

export function createDatasetReader(store: ObjectStore): DatasetReader {
  const cache = new Map<string, Promise<readonly unknown[]>>();

  const rows = <S extends z.ZodType>(
    schema: S,
    name: string,
    digest: Digest,
    file: string,
  ): Promise<readonly z.output<S>[]> => {
    const key = `${name}/${digest}/${file}`;
    let parsed = cache.get(key) as Promise<readonly z.output<S>[]> | undefined;
    if (parsed === undefined) {
      parsed = parseFile(store, schema, name, digest, file);
      parsed.catch(() => cache.delete(key)); // a failed read is not an answer; the caller sees its error
      cache.set(key, parsed);
      const oldest = cache.keys().next().value;
      if (cache.size > KEPT && oldest !== undefined) cache.delete(oldest);
    }
    return parsed;
  };

  return {
    async tasks(name, digest, split) {
      const all = await rows(Task, name, digest, 'tasks.jsonl');
      return all.filter((task) => task.split === split);
    },
    async references(name, digest) {
      const all = await rows(Reference, name, digest, 'references.jsonl');
      return new Map(all.map((reference) => [reference.id, reference]));
    },
    demonstrations: (name, digest) => rows(Demonstration, name, digest, 'demonstrations.jsonl'),
  };
}

async function parseFile<S extends z.ZodType>(
  store: ObjectStore,
  schema: S,
  name: string,
  digest: Digest,
  file: string,
): Promise<readonly z.output<S>[]> {
  const text = Buffer.from(await readDatasetFile(store, name, digest, file)).toString('utf8');
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line, index) => {
      const parsed = schema.safeParse(JSON.parse(line));
      if (parsed.success) return parsed.data;
      throw new IntegrityError(
        `a dataset's line does not fit its schema: ${z.prettifyError(parsed.error)}`,
        {
          context: { dataset: name, file, line: index + 1 },
        },
      );
    });
}
