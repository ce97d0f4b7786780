import { RE2JS } from 're2js';
import { z } from 'zod';
import { InvalidInputError } from '../../../errors';
import type { LanguageConfig } from '../language-config';
import { linearLayers } from '../parameters';

/** Low-rank adaptation of linear layers: W + scale · B·A. Hu et al. 2021, arXiv:2106.09685. */
export interface LoraConfig {
  /** r: rows of A, columns of B. */
  readonly rank: number;
  readonly alpha: number;
  /** Share of the adapter's input that is left out in training. */
  readonly dropout: number;
  /** scale = alpha / √r instead of alpha / r: large ranks then learn as fast. Kalajdzievski 2023, arXiv:2312.03732. */
  readonly isRankStabilized: boolean;
  /** The adapted layers, without `.weight`, in the order of the network. */
  readonly targets: readonly string[];
}

export function loraScale({ rank, alpha, isRankStabilized }: LoraConfig): number {
  return alpha / (isRankStabilized ? Math.sqrt(rank) : rank);
}

/** What PEFT's adapter_config.json says. */
const PeftConfig = z.looseObject({
  peft_type: z.literal('LORA'),
  r: z.int().positive(),
  lora_alpha: z.number().positive(),
  lora_dropout: z.number().min(0).lt(1).default(0),
  use_rslora: z.boolean().default(false),
  target_modules: z.union([z.array(z.string()).min(1), z.string().min(1)]),
  bias: z.string().default('none'),
  base_model_name_or_path: z.string().nullish(),
});

/** Keys that change what is computed, with the values at which they do not. */
const NEUTRAL: Readonly<Record<string, readonly unknown[]>> = {
  use_dora: [false],
  fan_in_fan_out: [false],
  lora_bias: [false],
  use_qalora: [false],
  modules_to_save: [null],
  layers_to_transform: [null],
  layer_replication: [null],
  exclude_modules: [null],
  trainable_token_indices: [null],
  target_parameters: [null],
  alora_invocation_tokens: [null],
  arrow_config: [null],
};

/**
 * @param json the parsed adapter_config.json.
 * @throws {InvalidInputError} naming what is wrong, not supported, or targets no layer of the model.
 */
export function fromPeftConfig(json: unknown, model: LanguageConfig): LoraConfig {
  const parsed = PeftConfig.safeParse(json);
  if (!parsed.success) {
    throw new InvalidInputError(`adapter_config.json: ${z.prettifyError(parsed.error)}`);
  }
  const peft = parsed.data;
  const isEmpty = (value: unknown): boolean =>
    value === undefined ||
    (typeof value === 'object' && value !== null && Object.keys(value).length === 0);
  const unsupported = [
    ...Object.entries(NEUTRAL)
      .filter(([key, neutral]) => !isEmpty(peft[key]) && !neutral.includes(peft[key]))
      .map(([key]) => key),
    ...['rank_pattern', 'alpha_pattern'].filter((key) => !isEmpty(peft[key] ?? undefined)),
    ...(peft.bias === 'none' ? [] : [`bias '${peft.bias}'`]),
  ];
  if (unsupported.length > 0) {
    throw new InvalidInputError(
      `adapter_config.json asks for what is not supported: ${unsupported.join(', ')}`,
    );
  }
  return {
    rank: peft.r,
    alpha: peft.lora_alpha,
    dropout: peft.lora_dropout,
    isRankStabilized: peft.use_rslora,
    targets: targetsOf(peft.target_modules, model),
  };
}

/** As PEFT reads it: a list of names or ends of names, a pattern for whole names, or 'all-linear'. */
export function targetsOf(
  modules: string | readonly string[],
  model: LanguageConfig,
): readonly string[] {
  const names = linearLayers(model).map(({ name }) => name);
  const isTarget = matcher(modules);
  const targets = names.filter(isTarget);
  if (targets.length === 0) {
    throw new InvalidInputError(
      `an adapter targets no linear layer of the model: got ${JSON.stringify(modules)}, and there are q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj`,
    );
  }
  return targets;
}

function matcher(modules: string | readonly string[]): (name: string) => boolean {
  if (modules === 'all-linear') return () => true;
  if (typeof modules !== 'string') {
    return (name) => modules.some((module) => name === module || name.endsWith(`.${module}`));
  }
  let pattern: RE2JS;
  try {
    pattern = RE2JS.compile(modules);
  } catch (cause) {
    throw new InvalidInputError('adapter_config.json: target_modules is no pattern', {
      context: { target_modules: modules },
      cause,
    });
  }
  return (name) => pattern.matcher(name).matches();
}

export function toPeftConfig(lora: LoraConfig, baseModel: string): Record<string, unknown> {
  return {
    peft_type: 'LORA',
    task_type: 'CAUSAL_LM',
    base_model_name_or_path: baseModel,
    inference_mode: true,
    r: lora.rank,
    lora_alpha: lora.alpha,
    lora_dropout: lora.dropout,
    use_rslora: lora.isRankStabilized,
    target_modules: lora.targets,
    bias: 'none',
    fan_in_fan_out: false,
    use_dora: false,
    modules_to_save: null,
  };
}
