import { parseArgs } from 'node:util';
import { startOurs, type Load } from './generate/ours';
import { theirModel, sizeOf, type Size } from './language/sizes';
import { median } from './support/quantiles';
import { startTransformers } from './support/transformers';

/**
 * Greedy generation of 64 sequences at once, 128 tokens after prompts of 128, float32: new tokens per second, the reading of the prompts in
 * their time. Where PYTHON names a Python with torch and transformers, the same is done by `transformers.generate`, in turns:
 * `ratioTransformers` is our speed over theirs with the cache that is faster there, `ratioDefault` over theirs as it is called by default,
 * with the dynamic cache.
 *
 * The figures of the first size stand at the top, those of all in `sizes`.
 *
 * @param args `--sizes 1.1M,6.4M,25M`, `--batch 64`, `--prompt 128`, `--new 128`, `--threads 2`, `--rounds 3`
 */
export async function run(args: readonly string[]): Promise<Record<string, unknown>> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      sizes: { type: 'string', default: '1.1M' },
      batch: { type: 'string', default: '64' },
      prompt: { type: 'string', default: '128' },
      new: { type: 'string', default: '128' },
      threads: { type: 'string', default: '2' },
      rounds: { type: 'string', default: '3' },
    },
  });
  const load: Load = {
    batch: Number(values.batch),
    prompt: Number(values.prompt),
    fresh: Number(values.new),
  };
  const settings = { threads: Number(values.threads), rounds: Number(values.rounds) };
  const sizes: Record<string, unknown>[] = [];
  for (const name of values.sizes.split(',')) {
    const one = await measure(sizeOf(name), load, settings);
    process.stderr.write(`${name}: ${JSON.stringify(one)}\n`);
    sizes.push(one);
  }
  return { ...sizes[0], ...load, ...settings, sizes };
}

/** What transformers_generation.py answers. */
interface Theirs {
  readonly ms: readonly number[];
  readonly peakRssMb: number;
  readonly cache: string;
  /** Milliseconds by cache. */
  readonly trials: { readonly dynamic: number };
}

async function measure(
  size: Size,
  load: Load,
  { threads, rounds }: { readonly threads: number; readonly rounds: number },
): Promise<Record<string, unknown>> {
  const python = process.env['PYTHON'];
  const ours = startOurs();
  const theirs = python === undefined ? null : startTransformers(python);
  try {
    const params = await ours.start(size, load, threads);
    const ourMs: number[] = [];
    const theirMs: number[] = [];
    let [peakRssMb, answer] = [NaN, null as Theirs | null];
    for (let i = 0; i < rounds; i++) {
      const generated = await ours.generate();
      ourMs.push(generated.ms);
      peakRssMb = generated.peakRssMb;
      if (theirs === null) continue;
      answer = await theirs.ask<Theirs>(theirCommand(size, load, threads));
      theirMs.push(...answer.ms);
    }
    const ms = median(ourMs);
    return {
      params,
      tokensPerSecond: Math.round((load.batch * load.fresh * 1000) / ms),
      ms: Math.round(ms),
      peakRssMb: Math.round(peakRssMb),
      ...(answer !== null && {
        ratioTransformers: rounded(median(theirMs) / ms),
        ratioDefault: rounded(answer.trials.dynamic / ms),
        theirCache: answer.cache,
        peakRssRatio: rounded(peakRssMb / answer.peakRssMb),
      }),
    };
  } finally {
    ours.close();
    theirs?.close();
  }
}

function theirCommand(
  size: Size,
  { batch, prompt, fresh }: Load,
  threads: number,
): Record<string, unknown> {
  return {
    cmd: 'generate',
    ...theirModel(size),
    ...{ batch, prompt, new: fresh, threads, runs: 1 },
  };
}

const rounded = (value: number): number => Number(value.toFixed(2));
