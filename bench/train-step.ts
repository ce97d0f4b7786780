import { parseArgs } from 'node:util';
import { median } from './support/quantiles';
import { startTransformers, type Transformers } from './support/transformers';
import { configOf, even, mixed, settingsOf, SIZES, TOKENS, type Size } from './train-step/model';
import { startOurs } from './train-step/ours';

/**
 * One optimizer step of language models of three sizes on 4,096 tokens: forward, backward, clipping and AdamW, float32.
 *
 * `sizes` is on 32 sequences of 128 tokens, all trained on; `mixed` on sequences of many lengths, each half prompt and half answer.
 * `shareOfPeak` is 6 · params · tokens per second over the matrix-product peak of the same minute. Where PYTHON names a Python with torch and
 * transformers, the same steps are taken there, in turns: `ratioEager` and `ratioCompiled` are their time over ours,
 * `peakRssRatio` our peak memory over theirs.
 *
 * @param args `--threads 2`, `--rounds 3`, `--only 1.1M,25M`, `--batches even,mixed`
 */
export async function run(args: readonly string[]): Promise<Record<string, unknown>> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      threads: { type: 'string', default: '2' },
      rounds: { type: 'string', default: '3' },
      only: { type: 'string' },
      batches: { type: 'string', default: 'even,mixed' },
    },
  });
  const sizes = SIZES.filter(({ name }) => values.only?.split(',').includes(name) ?? true);
  const figures: Record<string, Record<string, number>[]> = {};
  for (const batch of ['even', 'mixed'] as const) {
    if (!values.batches.split(',').includes(batch)) continue;
    figures[batch === 'even' ? 'sizes' : 'mixed'] = [];
    for (const size of sizes) {
      const one = await measure(size, batch, {
        threads: Number(values.threads),
        rounds: Number(values.rounds),
      });
      process.stderr.write(`${batch} ${size.name}: ${JSON.stringify(one)}\n`);
      figures[batch === 'even' ? 'sizes' : 'mixed']?.push(one);
    }
  }
  return { ...figures, threads: Number(values.threads) };
}

async function measure(
  size: Size,
  batch: 'even' | 'mixed',
  { threads, rounds }: { readonly threads: number; readonly rounds: number },
): Promise<Record<string, number>> {
  const python = process.env['PYTHON'];
  const ours = startOurs();
  const eager = python === undefined ? null : startTransformers(python, threads);
  const compiled = python === undefined ? null : startTransformers(python, threads);
  try {
    const { params } = await ours.start(size, batch, threads);
    await startTheirs(eager, size, batch, false);
    await startTheirs(compiled, size, batch, true);
    const [mine, peaks, eagers, compileds] = [[], [], [], []] as number[][] as [
      number[],
      number[],
      number[],
      number[],
    ];
    let peakRssMb = 0;
    for (let i = 0; i < rounds; i++) {
      const steps = await ours.steps(3);
      mine.push(...steps.ms);
      peakRssMb = steps.peakRssMb; // before the peak is measured, which takes memory too
      for (const [side, times] of [
        [eager, eagers],
        [compiled, compileds],
      ] as const) {
        if (side !== null)
          times.push(...(await side.ask<{ ms: number[] }>({ cmd: 'steps', n: 3 })).ms);
      }
    }
    for (let i = 0; i < rounds; i++) peaks.push(await ours.peak(threads));
    const ms = median(mine);
    const theirs = eager === null ? null : await eager.ask<{ peakRssMb: number }>({ cmd: 'rss' });
    return {
      params,
      ms: round(ms, 1),
      tokensPerSecond: round((TOKENS / ms) * 1000, 0),
      shareOfPeak: round((6 * params * TOKENS) / ms / 1e6 / Math.max(...peaks), 3),
      peakGflops: round(Math.max(...peaks), 0),
      peakRssMb: round(peakRssMb, 0),
      ...(theirs === null
        ? {}
        : {
            ratioEager: round(median(eagers) / ms, 2),
            ratioCompiled: round(median(compileds) / ms, 2),
            peakRssRatio: round(peakRssMb / theirs.peakRssMb, 2),
          }),
    };
  } finally {
    ours.close();
    eager?.close();
    compiled?.close();
  }
}

async function startTheirs(
  side: Transformers | null,
  size: Size,
  batch: 'even' | 'mixed',
  compiled: boolean,
): Promise<void> {
  const { sequences, trained } = batch === 'even' ? even() : mixed();
  await side?.ask({
    cmd: 'train',
    model: settingsOf(configOf(size)),
    sequences,
    trained,
    compiled,
  });
}

function round(value: number, digits: number): number {
  return Number(value.toFixed(digits));
}
