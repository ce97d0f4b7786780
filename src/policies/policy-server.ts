import type { RequestPatch } from '../schemas/arm';
import type { ChatRequest } from '../schemas/chat';
import type { Sampled, SampledArm, Sampling, Usage } from '../schemas/decision';
import type { Digest } from '../schemas/ids';
import type { Message } from '../schemas/message';

/** What one call of a policy gives: an answer, or how somebody else is to be asked for one. */
export type PolicyChoice<S extends Sampled = Sampled> = PolicyAnswer<S> | PolicyForward;

/** An upstream is to answer the request, under this patch. */
export interface PolicyForward {
  readonly patch: RequestPatch;
  readonly sampled: SampledArm;
}

export function isForward<S extends Sampled>(choice: PolicyChoice<S>): choice is PolicyForward {
  return 'patch' in choice;
}

/** The answer's message and how it was sampled: of one kind of policy, or of any. */
export interface PolicyAnswer<S extends Sampled = Sampled> {
  readonly message: Message;
  /** `length`: it was cut off where the request, or the context, allowed no more. */
  readonly finishReason: 'stop' | 'tool_calls' | 'length';
  /** null when there was nothing to decide (the conversation ends in the result of a tool that this policy called). */
  readonly sampled: S | null;
  readonly usage: Usage;
}

/** One checkpoint, loaded. */
export interface ServedPolicy<S extends Sampled = Sampled> {
  readonly checkpoint: Digest;
  /**
   * What live traffic is drawn at if it may forward requests, whose `temperature` is the upstream's and not that of the choice. Left out: what
   * a request asks for.
   */
  readonly temperature?: number;
  /**
   * Answers one request. Concurrent calls are batched; an answer never depends on who shares its batch.
   *
   * @param uniform a draw from [0, 1) that decides what is sampled; ignored at temperature 0.
   * @param forwards whether somebody would answer the request under a patch; left out, nobody would.
   * @throws {InvalidInputError} if no arm can take the request.
   */
  answer(
    request: ChatRequest,
    sampling: Sampling,
    uniform: number,
    forwards?: (patch: RequestPatch) => boolean,
  ): Promise<PolicyChoice<S>>;
}

/** Serves checkpoints by digest: what is not loaded is fetched, and the least recently used are released. */
export interface PolicyServer<S extends Sampled = Sampled> {
  /** @throws {NotFoundError} if no such checkpoint is in the store. */
  serve(checkpoint: Digest): Promise<ServedPolicy<S>>;
  close(): Promise<void>;
}
