import * as huggingface from '@huggingface/tokenizers';
import { z } from 'zod';
import { IntegrityError, InvalidInputError, NotFoundError, describeError } from '../../../errors';
import { readFolderJson, type ModelFolder } from '../model-folder';
import { bytesOfToken, type TokenSpelling } from './token-bytes';

export const TOKENIZER_FILE = 'tokenizer.json';
export const TOKENIZER_CONFIG_FILE = 'tokenizer_config.json';

/** What we use of the library, whose own declarations Node's resolution does not find. */
interface Tokenizer {
  encode(text: string, options: { add_special_tokens: boolean }): { readonly ids: number[] };
  decode(
    ids: number[],
    options: { skip_special_tokens: boolean; clean_up_tokenization_spaces: boolean },
  ): string;
  token_to_id(token: string): number | undefined;
  get_vocab(): ReadonlyMap<string, number>;
  get_added_tokens_decoder(): ReadonlyMap<
    number,
    { readonly content: string; readonly special: boolean }
  >;
}
const { Tokenizer } = huggingface as unknown as {
  readonly Tokenizer: new (json: object, config: object) => Tokenizer;
};

/** From text to token ids and back, as a model's own files say. */
export interface LanguageTokenizer {
  /** The settings of tokenizer_config.json: names of special tokens, and the chat template. */
  readonly config: TokenizerConfig;
  /** Special tokens in the text are those tokens. @param addSpecialTokens whether to begin and end as the model expects of a text by itself. */
  encode(text: string, options?: { readonly addSpecialTokens?: boolean }): number[];
  /** Bytes that are no UTF-8 become U+FFFD. @param skipSpecialTokens leaves out tokens that are no text. @default true */
  decode(ids: readonly number[], options?: { readonly skipSpecialTokens?: boolean }): string;
  /** undefined if the vocabulary has no such token. */
  idOf(token: string): number | undefined;
  /** One more than the largest id. */
  readonly vocabSize: number;
  /** What a token adds to a text, wherever it stands but at its beginning; null if it is no text. */
  readonly bytesOf: (id: number) => Uint8Array | null;
}

/** A special token's name: alone, or with how it is looked for. */
const TokenName = z
  .union([z.string(), z.looseObject({ content: z.string() }).transform(({ content }) => content)])
  .nullish();

export const TokenizerConfig = z.looseObject({
  bos_token: TokenName,
  eos_token: TokenName,
  unk_token: TokenName,
  pad_token: TokenName,
  sep_token: TokenName,
  cls_token: TokenName,
  mask_token: TokenName,
  chat_template: z
    .union([z.string(), z.array(z.looseObject({ name: z.string(), template: z.string() }))])
    .nullish(),
});
export type TokenizerConfig = z.infer<typeof TokenizerConfig>;

/**
 * @throws {NotFoundError} if tokenizer.json is missing; {IntegrityError} if a file is damaged; {InvalidInputError} if it asks for
 *   something that is not supported. A missing tokenizer_config.json is an empty one.
 */
export async function openTokenizer(folder: ModelFolder): Promise<LanguageTokenizer> {
  const json = await readFolderJson(folder, TOKENIZER_FILE);
  const config = await readConfig(folder);
  const tokenizer = create(json, config, folder.name);
  return {
    config,
    encode: (text, { addSpecialTokens = false } = {}) =>
      text === '' && !addSpecialTokens
        ? []
        : tokenizer.encode(text, { add_special_tokens: addSpecialTokens }).ids,
    decode: (ids, { skipSpecialTokens = true } = {}) =>
      ids.length === 0
        ? ''
        : tokenizer.decode([...ids], {
            skip_special_tokens: skipSpecialTokens,
            clean_up_tokenization_spaces: false,
          }),
    idOf: (token) => tokenizer.token_to_id(token),
    ...tokenBytes(json, tokenizer),
  };
}

function create(json: unknown, config: TokenizerConfig, model: string): Tokenizer {
  const parsed = z.looseObject({ model: z.looseObject({}) }).safeParse(json);
  if (!parsed.success) {
    throw new IntegrityError(`${TOKENIZER_FILE}: ${z.prettifyError(parsed.error)}`, {
      context: { model },
    });
  }
  try {
    return new Tokenizer(parsed.data, config);
  } catch (cause) {
    throw new InvalidInputError(
      `${TOKENIZER_FILE} asks for what is not supported: ${describeError(cause)}`,
      { context: { model }, cause },
    );
  }
}

/** How the vocabulary spells bytes is what its decoder undoes. */
function tokenBytes(
  json: unknown,
  tokenizer: Tokenizer,
): Pick<LanguageTokenizer, 'vocabSize' | 'bytesOf'> {
  const decoder = JSON.stringify((json as { decoder?: unknown }).decoder ?? null);
  const spelling: TokenSpelling = decoder.includes('"ByteLevel"') ? 'byte-level' : 'sentencepiece';
  const added = tokenizer.get_added_tokens_decoder();
  const tokens: string[] = [];
  for (const [token, id] of tokenizer.get_vocab()) tokens[id] = token;
  return {
    vocabSize: tokens.length,
    bytesOf(id) {
      const special = added.get(id);
      if (special !== undefined) return special.special ? null : Buffer.from(special.content);
      const token = tokens[id];
      return token === undefined ? null : bytesOfToken(token, spelling);
    },
  };
}

async function readConfig(folder: ModelFolder): Promise<TokenizerConfig> {
  let json: unknown;
  try {
    json = await readFolderJson(folder, TOKENIZER_CONFIG_FILE);
  } catch (error) {
    if (error instanceof NotFoundError) return TokenizerConfig.parse({});
    throw error;
  }
  const parsed = TokenizerConfig.safeParse(json);
  if (parsed.success) return parsed.data;
  throw new IntegrityError(`${TOKENIZER_CONFIG_FILE}: ${z.prettifyError(parsed.error)}`, {
    context: { model: folder.name },
  });
}
