import { createInThreadWorkspace } from '../../src/adapters/ort/in-thread-workspace';
import { createDecoder } from '../../src/policies/language/generation/decoder';
import { createEngine, type GenerationEngine } from '../../src/policies/language/generation/engine';
import { TokenSampling } from '../../src/policies/language/generation/sampling';
import {
  initialParameters,
  parameterCount,
  parameterShapes,
} from '../../src/policies/language/parameters';
import { stream } from '../../src/rl/counter-rng';
import { configOf, type Size } from '../language/sizes';
import { answerParent, isForked, peakRssMb, startFork } from '../support/fork';

/** So many prompts of one length at once, each continued by so many tokens. */
export interface Load {
  readonly batch: number;
  readonly prompt: number;
  readonly fresh: number;
}
export interface Generated {
  /** Of the whole batch, prompts included. */
  readonly ms: number;
  readonly peakRssMb: number;
}
type Ask =
  | {
      readonly type: 'start';
      readonly size: Size;
      readonly load: Load;
      readonly threads: number;
    }
  | { readonly type: 'generate' };

export interface Ours {
  /** @returns the number of parameters. */
  start(size: Size, load: Load, threads: number): Promise<number>;
  generate(): Promise<Generated>;
  readonly close: () => void;
}

export function startOurs(): Ours {
  const { ask, close } = startFork<Ask>(__filename);
  return {
    start: async (size, load, threads) =>
      (await ask({ type: 'start', size, load, threads })) as number,
    generate: async () => (await ask({ type: 'generate' })) as Generated,
    close,
  };
}

function work(): void {
  let once: (() => Promise<void>) | null = null;
  answerParent<Ask>(async (message) => {
    if (message.type === 'start') {
      const config = configOf(message.size);
      const engine = await startEngine(message);
      let round = 0;
      once = () => generate(engine, config.vocabSize, message.load, round++);
      await once(); // graphs are made, and the cache grows to its size
      return parameterCount(config);
    }
    const begin = performance.now();
    await once?.();
    return { ms: performance.now() - begin, peakRssMb: peakRssMb() } satisfies Generated;
  });
}

async function startEngine({
  size,
  load: { batch, prompt, fresh },
  threads,
}: Extract<Ask, { type: 'start' }>): Promise<GenerationEngine> {
  const config = configOf(size);
  const workspace = createInThreadWorkspace({ threads });
  const shapes = parameterShapes(config);
  for (const [name, data] of Object.entries(initialParameters(config, 0))) {
    await workspace.write({ [name]: { dtype: 'float32', shape: shapes[name] ?? [], data } });
  }
  const contextLength = prompt + fresh;
  const decoder = await createDecoder(workspace, { config, slots: batch, contextLength });
  return createEngine(decoder, {
    ...{ vocabSize: config.vocabSize, contextLength },
    createTextStream: () => ({ push: () => '', end: () => '' }), // the other side gives no text either
  });
}

/** Other prompts in each round: a beginning that is in the cache would not be read again. */
async function generate(
  engine: GenerationEngine,
  vocabSize: number,
  { batch, prompt, fresh }: Load,
  round: number,
): Promise<void> {
  const random = stream({ seed: round, purpose: 'bench.generate' });
  const sampling = TokenSampling.parse({ temperature: 0 });
  await Promise.all(
    Array.from({ length: batch }, () =>
      engine.generate({
        prompt: Array.from({ length: prompt }, () => 1 + random.below(vocabSize - 1)),
        ...{ maxTokens: fresh, sampling, seed: 0, stopTokens: new Set<number>(), stopStrings: [] },
      }),
    ),
  );
}

if (isForked(__filename)) work();
