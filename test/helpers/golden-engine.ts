import { createInThreadWorkspace } from '../../src/adapters/ort/in-thread-workspace';
import { createDecoder, type Decoder } from '../../src/policies/language/generation/decoder';
import {
  createEngine,
  type EngineSpec,
  type GenerationEngine,
} from '../../src/policies/language/generation/engine';
import type { GenerationRequest } from '../../src/policies/language/generation/generation';
import { parameterShapes } from '../../src/policies/language/parameters';
import { goldenModel, type GoldenModel } from './golden-models';

export interface GoldenEngine {
  readonly engine: GenerationEngine;
  readonly model: GoldenModel;
  /** Rows of each run of the decoder, in order: how many sequences shared it, and how many tokens of each. */
  readonly runs: { readonly rows: number; readonly tokens: number; readonly past: number }[];
  close(): Promise<void>;
}

/** A golden model that generates; each token's text is `<id>`. */
export async function goldenEngine(
  name: string,
  {
    slots = 4,
    contextLength,
    ...spec
  }: { slots?: number; contextLength?: number } & Partial<EngineSpec> = {},
): Promise<GoldenEngine> {
  const model = goldenModel(name);
  const { config, weights } = model;
  const workspace = createInThreadWorkspace({ threads: 1 });
  const shapes = parameterShapes(config);
  await workspace.write(
    Object.fromEntries(
      Object.entries(shapes).map(([parameter, shape]) => [
        parameter,
        { dtype: 'float32' as const, shape, data: weights[parameter] as Float32Array },
      ]),
    ),
  );
  const context = contextLength ?? config.maxPositions;
  const inner = await createDecoder(workspace, { config, slots, contextLength: context });
  const runs: GoldenEngine['runs'] = [];
  const decoder: Decoder = {
    ...inner,
    read(rows) {
      const tokens = Math.max(...rows.map((row) => row.tokens.length));
      runs.push({ rows: rows.length, tokens, past: rows[0]?.past ?? 0 });
      return inner.read(rows);
    },
  };
  const engine = createEngine(decoder, {
    vocabSize: config.vocabSize,
    contextLength: context,
    createTextStream: () => ({ push: (id) => `<${id}>`, end: () => '' }),
    ...spec,
  });
  return {
    engine,
    model,
    runs,
    async close() {
      await engine.close();
      await workspace.close();
    },
  };
}

export function generationRequest(
  prompt: readonly number[],
  changes: Partial<Omit<GenerationRequest, 'sampling'>> & {
    readonly sampling?: Partial<GenerationRequest['sampling']>;
  } = {},
): GenerationRequest {
  return {
    maxTokens: 32,
    seed: 0,
    stopTokens: new Set(),
    stopStrings: [],
    ...changes,
    prompt,
    sampling: {
      ...{ temperature: 1, topK: 0, topP: 1, minP: 0, repetitionPenalty: 1 },
      ...changes.sampling,
    },
  };
}

export const GREEDY = { sampling: { temperature: 0 } } as const;
