import { mkdtempSync, writeFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fromHfConfig } from '../../src/policies/language/hf-config';
import {
  targetsOf,
  toPeftConfig,
  type LoraConfig,
} from '../../src/policies/language/lora/lora-config';
import { loraShapes } from '../../src/policies/language/lora/lora-layers';
import { stream } from '../../src/rl/counter-rng';
import { streamSafetensors } from '../../src/storage/stream-safetensors';
import { TINY_CONFIG } from './tiny-chat-model';

const model = fromHfConfig(TINY_CONFIG);

export const TINY_LORA: LoraConfig = {
  ...{ rank: 2, alpha: 8, dropout: 0, isRankStabilized: false },
  targets: targetsOf(['q_proj', 'down_proj'], model),
};

/** A PEFT folder with an adapter over the tiny chat model that changes what it says. */
export async function tinyAdapter(seed = 1): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), 'ratchet-adapter-'));
  writeFileSync(
    join(folder, 'adapter_config.json'),
    JSON.stringify(toPeftConfig(TINY_LORA, 'tiny')),
  );
  const tensors = Object.entries(loraShapes(model, TINY_LORA)).map(([name, shape]) => ({
    ...{ name, shape },
    read: async () => {
      const random = stream({ seed, purpose: 'test.adapter', task: name });
      const [rows = 0, columns = 0] = shape;
      return Float32Array.from({ length: rows * columns }, () => 2 * random.next() - 1);
    },
  }));
  await writeFile(join(folder, 'adapter_model.safetensors'), streamSafetensors(tensors, 'F32'));
  return folder;
}
