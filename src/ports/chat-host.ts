import type { ModelFolder } from '../policies/language/model-folder';
import type { ChatModel } from '../policies/language/serving/chat-model';
import type { ServingOptions } from '../policies/language/serving/open-chat-model';

/** A chat model that is loaded somewhere. */
export interface HostedChatModel extends ChatModel {
  /** Calls that are open are rejected; nothing of the model is left in memory. */
  release(): Promise<void>;
}

/** Loads language models off the caller's thread. */
export interface ChatHost {
  /**
   * Reads a model tensor by tensor, so that no second copy of its weights is ever in memory.
   *
   * @throws {NotFoundError | IntegrityError | InvalidInputError} naming what is missing, damaged or not supported: nothing stays loaded.
   */
  load(folder: ModelFolder, options?: ServingOptions): Promise<HostedChatModel>;
}
