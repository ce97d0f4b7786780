import { createHash } from 'node:crypto';
import { z } from 'zod';
import type { DatasetSource, Demonstration, Split } from '../../src/schemas/task';
import { readDataFile } from './data-file';
import { ESCALATE, findSkill } from './desk';
import type { DeskReference } from './reference';

/** How many worked examples the base policy is created from; the rest of the train queries come without their labels. */
export const DEMONSTRATIONS_PER_INTENT = 5;
export const OUT_OF_SCOPE_DEMONSTRATIONS = 20;

const ATTRIBUTION =
  'CLINC150: Larson et al., "An Evaluation Dataset for Intent Classification and Out-of-Scope Prediction", EMNLP-IJCNLP 2019, https://github.com/clinc/oos-eval, CC BY 3.0.';

/** What CLINC150 calls the intent of a query that has none. */
const OUT_OF_SCOPE = 'oos';

const Rows = z.array(z.tuple([z.string().min(1), z.string().min(1)]));
const DataFile = z.strictObject({
  train: Rows,
  val: Rows,
  test: Rows,
  oos_train: Rows,
  oos_val: Rows,
  oos_test: Rows,
});

/** A query of CLINC150 with its label. */
interface Query {
  readonly id: string;
  readonly text: string;
  readonly intent: string;
  /** Queries that differ in nothing but case, spaces and punctuation. */
  readonly cluster: string;
}

/** What was left out so that no cluster is in two splits. */
export interface Exclusions {
  /** Train queries that are also test queries. */
  readonly trainInTest: number;
  /** Train queries that are also demonstrations; demonstrations themselves not counted. */
  readonly trainInDemonstrations: number;
  /** Validation queries that are also train or test queries. */
  readonly validationInTrainOrTest: number;
  /** Test queries that CLINC150 also has for training. They are kept: it is the train queries that go. */
  readonly testInTrain: number;
}

export interface SupportDeskDataset extends DatasetSource {
  readonly exclusions: Exclusions;
}

/**
 * CLINC150 as tasks. The seed draws the demonstrations, and nothing else: ids and splits are the same for every seed.
 *
 * - train: the train queries that are neither demonstrations nor, in other spelling, in the test set;
 * - select, gate: the validation queries that are in neither train nor test, drawn by a hash of their cluster. Half of those
 *   in scope go to each; of the few out of scope the gate gets three quarters, since its guardrail rests on them alone;
 * - report: all 4,500 + 1,000 test queries.
 *
 * A family is an intent. An out-of-scope query has none: each is a family of its own. A slice is a domain, or `out-of-scope`.
 * Ids number the queries of a file in the order of a hash of their text: CLINC150's own order, and the name of the list a
 * query comes from, would tell its label.
 *
 * @param options.seed any integer.
 */
export async function supportDeskDataset({ seed }: { seed: number }): Promise<SupportDeskDataset> {
  const data = DataFile.parse(readDataFile('data_full.json'));
  const pool = toQueries('train', [...data.train, ...data.oos_train]);
  const validation = toQueries('val', [...data.val, ...data.oos_val]);
  const test = toQueries('test', [...data.test, ...data.oos_test]);
  const inPool = clustersOf(pool);
  const inTest = clustersOf(test);

  const candidates = pool.filter(({ cluster }) => !inTest.has(cluster));
  const demonstrations = drawDemonstrations(candidates, seed);
  const demonstrated = clustersOf(demonstrations);
  const train = candidates.filter(({ cluster }) => !demonstrated.has(cluster));
  const heldOut = validation.filter(({ cluster }) => !inPool.has(cluster) && !inTest.has(cluster));

  const tasks = [
    ...train.map((query) => toTask(query, 'train')),
    ...heldOut.map((query) => toTask(query, heldOutSplit(query))),
    ...test.map((query) => toTask(query, 'report')),
  ];
  return {
    tasks,
    demonstrations: demonstrations.map(toDemonstration),
    attribution: ATTRIBUTION,
    exclusions: {
      trainInTest: pool.length - candidates.length,
      trainInDemonstrations: candidates.length - demonstrations.length - train.length,
      validationInTrainOrTest: validation.length - heldOut.length,
      testInTrain: test.filter(({ cluster }) => inPool.has(cluster)).length,
    },
  };
}

function toQueries(part: string, rows: z.infer<typeof Rows>): Query[] {
  const byHash = rows
    .map(([text, intent]) => ({ text, intent, rank: hash(text) }))
    .sort((a, b) => a.rank - b.rank || (a.text < b.text ? -1 : 1));
  return byHash.map(({ text, intent }, index) => ({
    id: `${part}-${String(index + 1).padStart(5, '0')}`,
    text,
    intent,
    cluster: text.toLowerCase().replaceAll(/[^\p{L}\p{N}]/gu, ''),
  }));
}

function heldOutSplit({ cluster, intent }: Query): 'select' | 'gate' {
  return hash(cluster) % 4 < (intent === OUT_OF_SCOPE ? 1 : 2) ? 'select' : 'gate';
}

function clustersOf(queries: readonly Query[]): ReadonlySet<string> {
  return new Set(queries.map(({ cluster }) => cluster));
}

/** The first few queries of each intent in an order that the seed decides, in the order of `queries`. */
function drawDemonstrations(queries: readonly Query[], seed: number): Query[] {
  const byIntent = new Map<string, { query: Query; rank: number }[]>();
  for (const query of queries) {
    const ranked = byIntent.get(query.intent) ?? [];
    ranked.push({ query, rank: hash(`${seed}:${query.id}`) });
    byIntent.set(query.intent, ranked);
  }
  const drawn = new Set<Query>();
  for (const [intent, ranked] of byIntent) {
    const count = intent === OUT_OF_SCOPE ? OUT_OF_SCOPE_DEMONSTRATIONS : DEMONSTRATIONS_PER_INTENT;
    ranked.sort((a, b) => a.rank - b.rank);
    for (const { query } of ranked.slice(0, count)) drawn.add(query);
  }
  return queries.filter((query) => drawn.has(query));
}

function toDemonstration({ text, intent }: Query): Demonstration {
  return { text, arm: intent === OUT_OF_SCOPE ? ESCALATE : intent };
}

function toTask(
  { id, text, intent, cluster }: Query,
  split: Split,
): DatasetSource['tasks'][number] {
  return {
    id,
    cluster,
    split,
    input: { query: text },
    family: intent === OUT_OF_SCOPE ? `${OUT_OF_SCOPE}:${cluster}` : intent,
    slice: findSkill(intent)?.domain ?? 'out-of-scope',
    reference: { intent: intent === OUT_OF_SCOPE ? null : intent } satisfies DeskReference,
  };
}

/** 48 bits of sha256: exact as a number. */
function hash(text: string): number {
  return createHash('sha256').update(text).digest().readUIntBE(0, 6);
}
