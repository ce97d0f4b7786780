import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { grad } from '../../../../../src/autodiff/grad';
import type { Node } from '../../../../../src/autodiff/graph';
import { GraphBuilder } from '../../../../../src/autodiff/graph-builder';
import {
  INITIAL_STATE,
  type Algorithm,
  type AlgorithmBatch,
  type SampleScores,
} from '../../../../../src/policies/language/algorithms/algorithm';
import { VALUE_BIAS, VALUE_WEIGHT } from '../../../../../src/policies/language/algorithms/ppo';
import type {
  Episode,
  EpisodeGroup,
  Sample,
} from '../../../../../src/policies/language/algorithms/samples';
import { evaluate } from '../../../../gradcheck/reference';

/** What make_algorithm_goldens.py wrote: a batch of episodes, and what PyTorch says of each algorithm on it. */
export interface Goldens {
  readonly groups: readonly (readonly number[])[];
  readonly episodes: readonly GoldenEpisode[];
  readonly valueHead: readonly number[];
  readonly cases: readonly GoldenCase[];
}
export interface GoldenEpisode {
  readonly tokens: number[];
  readonly mask: number[];
  readonly steps: number[];
  readonly logits: number[][];
  readonly behavior: number[];
  readonly current: number[];
  readonly reference: number[];
  readonly values: number[];
  readonly hidden: number[][];
  readonly reward: number;
  readonly stepRewards: number[];
}
export interface GoldenCase {
  readonly name: string;
  readonly config: Record<string, unknown>;
  readonly perStep: boolean;
  readonly loss: number;
  readonly gradient: number[][][];
  readonly advantages?: number[][];
  readonly returns?: number[][];
  readonly valueGradient?: number[];
}

export const GOLDENS = JSON.parse(
  readFileSync(join(__dirname, '../../../../goldens/algorithms/goldens.json'), 'utf8'),
) as Goldens;

/** Samples by the golden episode that they are of. */
export const SAMPLES: readonly Sample[] = GOLDENS.episodes.map(
  ({ tokens, mask, behavior, steps }) => ({
    ...{ tokens, mask, steps },
    logProbs: behavior,
    isTruncated: false,
  }),
);

export const scoresOf = (sample: Sample): SampleScores => {
  const episode = GOLDENS.episodes[SAMPLES.indexOf(sample)];
  if (episode === undefined) throw new Error('a sample of no golden episode');
  const { current, reference, values } = episode;
  return { current, reference, values };
};

export function goldenGroups(
  perStep = false,
  change: (episode: Episode, index: number) => Episode = (episode) => episode,
): EpisodeGroup[] {
  return GOLDENS.groups.map((members, g) => ({
    task: `task-${g}`,
    episodes: members.map((i) => {
      const { reward, stepRewards } = GOLDENS.episodes[i] as GoldenEpisode;
      const samples = [SAMPLES[i] as Sample];
      return change({ samples, reward, stepRewards: perStep ? stepRewards : null, age: 0 }, i);
    }),
  }));
}

export interface Evaluated {
  readonly loss: number;
  /** By golden episode, [tokens, vocabulary]. */
  readonly gradient: number[][][];
  readonly valueGradient: number[];
  readonly sums: Readonly<Record<string, number>>;
}

const VOCAB = 6;

/**
 * An algorithm's loss over the logits of the golden episodes, in float64: what a training step computes, without a network.
 *
 * @param parts micro-batches: which sequences are computed together. @default all
 */
export function evaluateAlgorithm(
  algorithm: Algorithm,
  batch: AlgorithmBatch,
  parts: readonly (readonly number[])[] = [batch.sequences.map((_, i) => i)],
): Evaluated {
  const indices = parts.flat();
  const owners = batch.sequences.map(({ tokens }) =>
    SAMPLES.findIndex((sample) => sample.tokens === tokens),
  );
  const stepInputs = batch.atStep?.(
    indices,
    indices.map((i) => logProbsOf(owners[i] as number)),
  );
  const inputsOf = (i: number): Readonly<Record<string, ArrayLike<number>>> => ({
    weights: new Array<number>(batch.sequences[i]?.tokens.length ?? 0).fill(1),
    ...batch.sequences[i]?.inputs,
    ...stepInputs?.inputs[indices.indexOf(i)],
  });
  const weight = indices
    .map((i) => maskedSum(batch.sequences[i]?.mask ?? [], inputsOf(i)['weights'] ?? []))
    .reduce((sum, w) => sum + w, 0);
  const { denominatorPerSequence: each } = batch;
  const denominator = each === null ? weight : each * indices.length;

  const gradient = GOLDENS.episodes.map(({ logits }) => logits.map((row) => row.map(() => 0)));
  const valueGradient = GOLDENS.valueHead.map(() => 0);
  const sums: Record<string, number> = {};
  let loss = 0;
  for (const part of parts) {
    const rows = part.flatMap((i) => {
      const owner = owners[i] as number;
      return Array.from(batch.sequences[i]?.mask ?? [], (m, t) => ({ i, owner, t, m })).filter(
        ({ m }) => m !== 0,
      );
    });
    const n = rows.length;
    const b = new GraphBuilder();
    const input = (name: string, shape: number[]): Node => b.input(name, shape, 'float64');
    const logits = input('logits', [n, VOCAB]);
    const parameters = { [VALUE_WEIGHT]: input('w', [1, 4]), [VALUE_BIAS]: input('bias', [1]) };
    const all = b.logSoftmax(logits);
    const episode = (owner: number): GoldenEpisode => GOLDENS.episodes[owner] as GoldenEpisode;
    const targets = BigInt64Array.from(rows, ({ owner, t }) =>
      BigInt(episode(owner).tokens[t] as number),
    );
    const logProbs = b.reshape(b.gatherElements(all, b.constant(targets, [n, 1]), 1), [n]);
    const entropies = b.neg(b.reduceSum(b.mul(b.exp(all), all), [1], { keepdims: false }));
    const { perToken, sums: nodes = {} } = algorithm.loss.build(b, {
      ...{ logProbs, entropies, parameters },
      hidden: input('hidden', [n, 4]),
      inputs: Object.fromEntries(algorithm.loss.inputs.map((name) => [name, input(name, [n])])),
    });
    const total = b.scale(b.sumAll(perToken), 1 / denominator);
    const wanted = [logits, parameters[VALUE_WEIGHT], parameters[VALUE_BIAS]] as Node[];
    const [byLogits, byWeight, byBias] = grad(b, total, wanted) as [Node, Node, Node];
    const feeds: Record<string, number[]> = {
      logits: rows.flatMap(({ owner, t }) => episode(owner).logits[t] ?? []),
      hidden: rows.flatMap(({ owner, t }) => episode(owner).hidden[t] ?? []),
      w: GOLDENS.valueHead.slice(0, 4),
      bias: GOLDENS.valueHead.slice(4),
    };
    for (const name of algorithm.loss.inputs) {
      feeds[name] = rows.map(({ i, t }) => inputsOf(i)[name]?.[t] as number);
    }
    const graph = b.build({ total, byLogits, byWeight, byBias, ...nodes });
    const used = new Set(graph.nodes.filter(({ op }) => op === 'Input').map(({ name }) => name));
    const values = evaluate(
      graph,
      Object.fromEntries(Object.entries(feeds).filter(([name]) => used.has(name))),
    );
    const of = (name: string): number[] => Array.from(values.get(name) ?? [], Number);
    loss += of('total')[0] as number;
    for (const name of Object.keys(nodes)) sums[name] = (sums[name] ?? 0) + (of(name)[0] as number);
    const flat = of('byLogits');
    rows.forEach(({ owner, t }, row) => {
      for (let v = 0; v < VOCAB; v++) {
        const at = gradient[owner]?.[t] as number[];
        at[v] = (at[v] as number) + (flat[row * VOCAB + v] as number);
      }
    });
    [...of('byWeight'), ...of('byBias')].forEach((value, k) => {
      valueGradient[k] = (valueGradient[k] as number) + value;
    });
  }
  const atStep = stepInputs?.sums ?? {};
  return { loss, gradient, valueGradient, sums: { ...sums, ...atStep } };
}

export const batchOf = (
  algorithm: Algorithm,
  groups: readonly EpisodeGroup[],
  state = INITIAL_STATE,
): AlgorithmBatch => algorithm.batch(groups, scoresOf, state).batch;

function logProbsOf(owner: number): number[] {
  const { logits, tokens } = GOLDENS.episodes[owner] as GoldenEpisode;
  return logits.map((row, t) => {
    const total = Math.log(row.reduce((sum, x) => sum + Math.exp(x), 0));
    return (row[tokens[t] as number] as number) - total;
  });
}

function maskedSum(mask: ArrayLike<number>, values: ArrayLike<number>): number {
  return Array.from(values).reduce((sum, value, t) => sum + (mask[t] === 0 ? 0 : value), 0);
}

/** The largest difference, at any depth. */
export function farthest(a: unknown, b: unknown): number {
  if (typeof a === 'number' && typeof b === 'number') return Math.abs(a - b);
  if (!Array.isArray(a) || !Array.isArray(b) || a.length !== b.length) return Infinity;
  return Math.max(0, ...a.map((value, i) => farthest(value, b[i])));
}
