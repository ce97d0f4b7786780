import type { TokenSampling } from './sampling';

/** Which tokens may come next. Immutable: a position in a text that is held to a form. */
export interface TokenConstraint {
  /** Bit i % 32 of word i >> 5: whether token i may come. At least one does. */
  allowed(): Uint32Array;
  /** @throws {InvalidInputError} for a token that may not come. */
  accept(token: number): TokenConstraint;
}

/** What a sequence begins with, and how it goes on. */
export interface GenerationRequest {
  /** At least one token, fewer than the context has. */
  readonly prompt: readonly number[];
  /** null: to the end of the context. */
  readonly maxTokens: number | null;
  readonly sampling: TokenSampling;
  /** Integer in [0, 2^53): the same request with the same seed gives the same tokens, whatever else runs. */
  readonly seed: number;
  /** Any of them ends the sequence; it is among the tokens, and not in the text. */
  readonly stopTokens: ReadonlySet<number>;
  /** The text ends before the first of them; all tokens that were drawn stay. */
  readonly stopStrings: readonly string[];
  readonly constraint?: TokenConstraint | undefined;
}

export type FinishReason = 'stop' | 'length';

export interface Generation {
  /** As drawn, a stop token included. */
  readonly tokens: readonly number[];
  /** ln of the probability that each was drawn with: after penalty, temperature, constraint and cuts. */
  readonly logProbs: readonly number[];
  /** ln π(token | what is before it) by the model itself. */
  readonly rawLogProbs: readonly number[];
  readonly text: string;
  readonly finish: FinishReason;
  /** The stop string that ended it. */
  readonly stop: string | null;
  /** Tokens of the prompt that need not be read, since the cache had them. */
  readonly cachedTokens: number;
}

export interface GenerationOptions {
  /** Told of each token as it is drawn; the text may lag behind, and comes in whole characters. */
  readonly onToken?: (token: number, text: string) => void;
  readonly signal?: AbortSignal;
}

/** From token ids to text, as they come. */
export interface TextStream {
  /** @returns what is sure by now; a character whose bytes are not all there waits. */
  push(token: number): string;
  /** @returns the rest. */
  end(): string;
}
