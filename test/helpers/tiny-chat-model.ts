import { copyFileSync, mkdtempSync, writeFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fromHfConfig } from '../../src/policies/language/hf-config';
import { initialParameters, parameterShapes } from '../../src/policies/language/parameters';
import { streamSafetensors } from '../../src/storage/stream-safetensors';

const TEXT = join(__dirname, '../goldens/language/text');

export const TINY_CONFIG = {
  architectures: ['Qwen2ForCausalLM'],
  ...{ model_type: 'qwen2', vocab_size: 703, hidden_size: 32, intermediate_size: 64 },
  ...{ num_hidden_layers: 2, num_attention_heads: 4, num_key_value_heads: 2 },
  ...{ max_position_embeddings: 512, rms_norm_eps: 1e-6, tie_word_embeddings: true },
};

/** A whole Hugging Face folder of a random Qwen2 with tokenizer and ChatML template: what it says makes no sense. */
export async function tinyChatModel(seed = 1): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), 'ratchet-model-'));
  writeFileSync(join(folder, 'config.json'), JSON.stringify(TINY_CONFIG));
  writeFileSync(
    join(folder, 'generation_config.json'),
    JSON.stringify({ eos_token_id: [702, 700] }),
  );
  for (const file of ['tokenizer.json', 'tokenizer_config.json']) {
    copyFileSync(join(TEXT, 'qwen2', file), join(folder, file));
  }
  copyFileSync(join(TEXT, 'templates/chatml.jinja'), join(folder, 'chat_template.jinja'));
  const config = fromHfConfig(TINY_CONFIG);
  const weights = initialParameters(config, seed);
  const tensors = Object.entries(parameterShapes(config)).map(([name, shape]) => ({
    ...{ name, shape },
    // Larger than for training: with the usual ones every token is about as probable as another.
    read: async () =>
      (weights[name] as Float32Array).map((value) => (shape.length === 2 ? 10 * value : value)),
  }));
  await writeFile(join(folder, 'model.safetensors'), streamSafetensors(tensors, 'F32'));
  return folder;
}
