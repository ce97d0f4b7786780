import type { RequestPatch } from '../schemas/arm';
import type { ChatRequest } from '../schemas/chat';
import type { SampledArm, Sampling } from '../schemas/decision';
import type { Digest } from '../schemas/ids';
import type { Message } from '../schemas/message';

/** What one call of a policy gives: an answer, or how somebody else is to be asked for one. */
export type PolicyChoice = PolicyAnswer | PolicyForward;

/** An upstream is to answer the request, under this patch. */
export interface PolicyForward {
  readonly patch: RequestPatch;
  readonly sampled: SampledArm;
}

export function isForward(choice: PolicyChoice): choice is PolicyForward {
  return 'patch' in choice;
}

/** The answer's message and how it was sampled. */
export interface PolicyAnswer {
  readonly message: Message;
  readonly finishReason: 'stop' | 'tool_calls';
  /** null when there was nothing to decide (the conversation ends in the result of a tool that this policy called). */
  readonly sampled: SampledArm | null;
  readonly usage: { readonly promptTokens: number; readonly completionTokens: number };
}

/** One checkpoint, loaded. */
export interface ServedPolicy {
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
  ): Promise<PolicyChoice>;
}

/** Serves checkpoints by digest: what is not loaded is fetched, and the least recently used are released. */
export interface PolicyServer {
  /** @throws {NotFoundError} if no such checkpoint is in the store. */
  serve(checkpoint: Digest): Promise<ServedPolicy>;
  close(): Promise<void>;
}
