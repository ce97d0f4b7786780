import { parseArgs } from 'node:util';
import { median } from './support/quantiles';
import { startTransformers, type Transformers } from './support/transformers';
import { theirModel, SIZES, type Size } from './language/sizes';
import { lengthsOf, TOKENS, type Mix } from './train-step/batch';
import { startOurs } from './train-step/ours';

/**
 * One optimizer step of language models of three sizes on 4,096 tokens: forward, backward, clipping and AdamW, float32.
 *
 * `sizes` is on 32 sequences of 128 tokens, all trained on; `mixed` on sequences of many lengths, each half prompt and half answer.
 * `shareOfPeak` is 6 · params · tokens per second over the matrix-product peak of the same run. Where PYTHON names a Python with torch and
 * transformers, the same steps are taken there, in turns, in the layout that is fastest in PyTorch: `ratioEager` and `ratioCompiled` are
 * their time over ours, `peakRssRatio` our peak memory over theirs.
 *
 * @param args `--threads 2`, `--rounds 3`, `--only 1.1M,25M`, `--mixes even,mixed`
 */
export async function run(args: readonly string[]): Promise<Record<string, unknown>> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      threads: { type: 'string', default: '2' },
      rounds: { type: 'string', default: '3' },
      only: { type: 'string' },
      mixes: { type: 'string', default: 'even,mixed' },
    },
  });
  const sizes = SIZES.filter(({ name }) => values.only?.split(',').includes(name) ?? true);
  const [threads, rounds] = [Number(values.threads), Number(values.rounds)];
  const figures: Record<string, Record<string, number>[]> = {};
  for (const [mix, field] of [
    ['even', 'sizes'],
    ['mixed', 'mixed'],
  ] as const) {
    if (!values.mixes.split(',').includes(mix)) continue;
    const measured: Record<string, number>[] = [];
    for (const size of sizes) {
      const one = await measure(size, mix, { threads, rounds });
      process.stderr.write(`${mix} ${size.name}: ${JSON.stringify(one)}\n`);
      measured.push(one);
    }
    figures[field] = measured;
  }
  return { ...figures, threads };
}

interface Measured {
  readonly ms: readonly number[];
  readonly peakRssMb: number;
}
const STEPS_PER_TURN = 3;

async function measure(
  size: Size,
  mix: Mix,
  { threads, rounds }: { readonly threads: number; readonly rounds: number },
): Promise<Record<string, number>> {
  const python = process.env['PYTHON'];
  const ours = startOurs();
  const sides = python === undefined ? [] : [startTransformers(python), startTransformers(python)];
  const [eager, compiled] = sides;
  try {
    const { params } = await ours.start(size, mix, threads);
    const theirStep = (isCompiled: boolean): Record<string, unknown> => ({
      ...theirCommand(size, mix, isCompiled),
      threads,
    });
    const turns: Record<'ours' | 'eager' | 'compiled', Measured[]> = {
      ours: [],
      eager: [],
      compiled: [],
    };
    const peaks: number[] = [];
    for (let i = 0; i < rounds; i++) {
      turns.ours.push(await ours.steps(STEPS_PER_TURN));
      if (eager !== undefined) turns.eager.push(await eager.ask<Measured>(theirStep(false)));
      if (compiled !== undefined)
        turns.compiled.push(await compiled.ask<Measured>(theirStep(true)));
    }
    // Afterwards, since it takes memory of its own.
    for (let i = 0; i < rounds; i++) peaks.push(await ours.peak(threads));
    const ms = median(turns.ours.flatMap((turn) => turn.ms));
    const peakRssMb = turns.ours.at(-1)?.peakRssMb ?? NaN;
    const peak = Math.max(...peaks);
    return {
      params,
      ms: rounded(ms, 1),
      tokensPerSecond: rounded((TOKENS / ms) * 1000, 0),
      shareOfPeak: rounded((6 * params * TOKENS) / ms / 1e6 / peak, 3),
      peakGflops: rounded(peak, 0),
      peakRssMb: rounded(peakRssMb, 0),
      ...(eager === undefined
        ? {}
        : {
            ratioEager: rounded(median(turns.eager.flatMap((turn) => turn.ms)) / ms, 2),
            ratioCompiled: rounded(median(turns.compiled.flatMap((turn) => turn.ms)) / ms, 2),
            peakRssRatio: rounded(peakRssMb / (turns.eager.at(-1)?.peakRssMb ?? NaN), 2),
          }),
    };
  } finally {
    ours.close();
    sides.forEach((side: Transformers) => side.close());
  }
}

function theirCommand(size: Size, mix: Mix, isCompiled: boolean): Record<string, unknown> {
  return {
    cmd: 'train',
    ...theirModel(size),
    sequences: lengthsOf(mix),
    compiled: isCompiled,
    steps: STEPS_PER_TURN,
    maxGradNorm: 1,
    // Each layout costs a compilation; for lengths that differ, this is the one that wins without.
    ...(isCompiled && mix === 'mixed' ? { layouts: ['split'] } : {}),
  };
}

function rounded(value: number, digits: number): number {
  return Number(value.toFixed(digits));
}
