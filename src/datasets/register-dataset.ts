import { z } from 'zod';
import { InvalidInputError } from '../errors';
import type { Digest } from '../schemas/ids';
import { Demonstration, Reference, Task, type DatasetSource, type Split } from '../schemas/task';
import { canonicalJson } from '../storage/canonical-json';
import { writeDataset } from '../storage/datasets';
import { sha256Hex } from '../storage/digest';
import type { ObjectStore } from '../storage/object-store';

/** Shares of the splits that a dataset does not draw itself. */
const SHARES: readonly (readonly [Split, number])[] = [
  ['train', 0.7],
  ['select', 0.1],
  ['gate', 0.1],
  ['report', 0.1],
];

/** The split of a cluster: the same on every machine and for every later version of the dataset. */
export function splitOfCluster(cluster: string): Split {
  const position = Number.parseInt(sha256Hex(cluster).slice(0, 8), 16) / 2 ** 32;
  let upTo = 0;
  for (const [split, share] of SHARES) {
    upTo += share;
    if (position < upTo) return split;
  }
  return 'report'; // rounding of the shares' sum
}

const lines = (rows: readonly unknown[]): Uint8Array =>
  Buffer.from(rows.map((row) => `${canonicalJson(row)}\n`).join(''));

/**
 * Writes a dataset: tasks, references and demonstrations in files of their own, so that who may not know labels never
 * opens the file that holds them. Same source, same digest; a repeat writes nothing new.
 *
 * @throws {InvalidInputError} for no tasks, a repeated id, a cluster in two splits, or a row that readers would refuse.
 */
export async function registerDataset(
  store: ObjectStore,
  name: string,
  source: DatasetSource,
): Promise<Digest> {
  const tasks: Task[] = [];
  const references: Reference[] = [];
  const ids = new Set<string>();
  const splitOf = new Map<string, Split>();
  for (const { id, input, family, slice, reference, ...rest } of source.tasks) {
    if (ids.has(id))
      throw new InvalidInputError('a dataset holds a task id twice', {
        context: { dataset: name, task: id },
      });
    ids.add(id);
    const cluster = rest.cluster ?? id;
    const split = rest.split ?? splitOfCluster(cluster);
    const before = splitOf.get(cluster);
    if (before !== undefined && before !== split) {
      throw new InvalidInputError(
        `a dataset has one cluster in two splits: expected near-duplicates together, got ${before} and ${split}`,
        { context: { dataset: name, cluster, task: id } },
      );
    }
    splitOf.set(cluster, split);
    tasks.push(parse(Task, { id, cluster, split, input }, name));
    references.push(parse(Reference, { id, family, slice, reference }, name));
  }
  if (tasks.length === 0) {
    throw new InvalidInputError('a dataset has no tasks: expected at least one', {
      context: { dataset: name },
    });
  }
  const counts: Record<string, number> = { train: 0, select: 0, gate: 0, report: 0 };
  for (const task of tasks) counts[task.split] = (counts[task.split] ?? 0) + 1;
  return writeDataset(store, name, {
    files: new Map([
      ['tasks.jsonl', lines(tasks)],
      ['references.jsonl', lines(references)],
      [
        'demonstrations.jsonl',
        lines(source.demonstrations.map((one) => parse(Demonstration, one, name))),
      ],
    ]),
    metadata: {
      counts,
      demonstrations: source.demonstrations.length,
      attribution: source.attribution,
    },
  });
}

/** A project's code may hand over anything: what readers could not parse must not become a dataset. */
function parse<S extends z.ZodType>(schema: S, row: z.input<S>, dataset: string): z.output<S> {
  const parsed = schema.safeParse(row);
  if (parsed.success) return parsed.data;
  throw new InvalidInputError(
    `a dataset holds a row that is not valid: ${z.prettifyError(parsed.error)}`,
    {
      context: { dataset, row: JSON.stringify(row)?.slice(0, 200) },
    },
  );
}
