import type { TensorWorkspace } from '../../../ports/tensor-workspace';
import { createDecoder } from '../generation/decoder';
import { createEngine } from '../generation/engine';
import type { LanguageConfig } from '../language-config';
import type { ModelFolder } from '../model-folder';
import { openChatTemplate } from '../text/chat-template';
import { createTextStream } from '../text/text-stream';
import { openTokenizer } from '../text/tokenizer';
import { createChatModel, type ChatModel } from './chat-model';
import { readStopTokens } from './generation-config';

export interface ServingOptions {
  /** Sequences that are written at once. @default 16 */
  readonly slots?: number;
  /** Tokens that a conversation may have, no more than the model can. @default 4096 */
  readonly contextLength?: number;
  /** Requests that may wait for a place; more are refused. @default 256 */
  readonly maxWaiting?: number;
}

/**
 * A chat model over weights that a workspace on this thread holds already.
 *
 * @param files what is beside the weights: tokenizer, template, configuration.
 * @throws {NotFoundError | IntegrityError | InvalidInputError} naming the file that is missing, damaged or not supported.
 */
export async function openChatModel(
  workspace: TensorWorkspace,
  config: LanguageConfig,
  files: ModelFolder,
  { slots = 16, contextLength: asked = 4096, maxWaiting }: ServingOptions = {},
): Promise<ChatModel & { close(): Promise<void> }> {
  const tokenizer = await openTokenizer(files);
  const template = await openChatTemplate(files, tokenizer.config);
  const stopTokens = await readStopTokens(files, tokenizer);
  const contextLength = Math.min(asked, config.maxPositions);
  const decoder = await createDecoder(workspace, { config, slots, contextLength });
  const engine = createEngine(decoder, {
    ...{ vocabSize: config.vocabSize, contextLength },
    createTextStream: () => createTextStream(tokenizer),
    ...(maxWaiting !== undefined && { maxWaiting }),
  });
  return {
    ...createChatModel({ tokenizer, template, engine, stopTokens }),
    close: () => engine.close(),
  };
}
