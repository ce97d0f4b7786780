import { z } from 'zod';
import { IntegrityError, NotFoundError } from '../../../errors';
import type { ModelFolder } from '../model-folder';
import { CONFIG_FILE } from '../model-files';
import type { LanguageTokenizer } from '../text/tokenizer';

export const GENERATION_CONFIG_FILE = 'generation_config.json';

const TokenIds = z.union([z.int().min(0), z.array(z.int().min(0))]).nullish();
const WithEnd = z.looseObject({ eos_token_id: TokenIds });

/**
 * The tokens that end a turn: `eos_token_id` of generation_config.json and of config.json, and the tokenizer's own. What else the former
 * says (temperature, top_p, …) is not looked at: a policy is sampled as it is, unless a request asks for something else.
 *
 * @throws {IntegrityError} if a file is damaged.
 */
export async function readStopTokens(
  folder: ModelFolder,
  tokenizer: LanguageTokenizer,
): Promise<ReadonlySet<number>> {
  const ends = new Set<number>();
  for (const file of [GENERATION_CONFIG_FILE, CONFIG_FILE]) {
    for (const id of await endsIn(folder, file)) ends.add(id);
  }
  const { eos_token: name } = tokenizer.config;
  const own = typeof name === 'string' ? tokenizer.idOf(name) : undefined;
  if (own !== undefined) ends.add(own);
  return ends;
}

async function endsIn(folder: ModelFolder, file: string): Promise<readonly number[]> {
  let text: string;
  try {
    text = Buffer.from(await folder.read(file)).toString('utf8');
  } catch (error) {
    if (error instanceof NotFoundError) return [];
    throw error;
  }
  try {
    const { eos_token_id: ids } = WithEnd.parse(JSON.parse(text));
    return typeof ids === 'number' ? [ids] : (ids ?? []);
  } catch (cause) {
    throw new IntegrityError(`${file} cannot be read`, { context: { model: folder.name }, cause });
  }
}
