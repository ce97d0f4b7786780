import type { RequestPatch } from '../../schemas/arm';
import type { ChatRequest } from '../../schemas/chat';
import type { SampledTokens, Usage } from '../../schemas/decision';
import type { ProtocolName } from '../../schemas/gateway-config';
import type { Message } from '../../schemas/message';
import type { ErrorAnswer } from '../http/error-response';
import type { SseEvent } from '../http/sse';
import type { ResponseIdPrefix } from '../keys/response-id';
import type { ReadTools, Toolset, ToolsetInterner } from '../toolset-interner';

/**
 * One way in which clients and upstreams speak. All that is particular to it is behind this interface; the internal form, in which calls
 * are recorded and policies are asked, is that of chat completions.
 *
 *     body ─parse─▶ ProtocolCall ─forUpstream─▶ upstream ─AnswerReader─▶ what the client gets, and the answer for the record
 *                        └──── request ─▶ policy ─▶ render | renderStream ─▶ what the client gets
 */
export interface Protocol {
  readonly name: ProtocolName;
  /** Behind the upstream's base URL. */
  readonly path: string;
  /** What the ids of our own answers begin with. */
  readonly idPrefix: ResponseIdPrefix;
  /** Where its clients look for the request's id, beside `x-request-id`. */
  readonly requestIdHeader?: string;
  /** How they are told that nobody holds the conversation that they go on with. @default 400 `unsupported_value` */
  readonly notHeld?: { readonly status: 400 | 404; readonly reason: string };
  /** The tools of a body in the internal form; left out where they are of that form. */
  readonly readTools?: ReadTools;
  /** @throws {RequestError} 400 for what cannot be answered. */
  parse(text: string, interner: ToolsetInterner): ProtocolCall;
  /** The same body, but for what has to be changed: every other byte reaches the upstream as it was sent. */
  forUpstream(call: ProtocolCall, options: ForUpstream): UpstreamCall;
  /** What request arms can change besides the model, which every protocol says; left out: nothing. */
  readonly patching?: Patching;
  /** The answer of a policy of ours, as the body of an answer that is not streamed. Left out where no policy can answer. */
  readonly render?: (call: ProtocolCall, answer: OwnAnswer) => object;
  /** The same as the events of a stream, each as text. */
  readonly renderStream?: (call: ProtocolCall, answer: OwnAnswer) => string[];
  /** An error in the shape that the protocol's clients read. */
  errorBody(error: ErrorAnswer, requestId: string): object;
  /** The same in a stream whose status is out already, as text. */
  errorEvent(error: ErrorAnswer, requestId: string): string;
}

/** The parts of a patch that a protocol needs to know how to write. */
export type PatchPart = Exclude<keyof RequestPatch, 'model'>;

export interface Patching {
  readonly parts: ReadonlySet<PatchPart>;
  /** The call with all of the patch but its model, in its text and in the internal form. Every other byte of the text stays. */
  patch(call: ProtocolCall, patch: RequestPatch): ProtocolCall;
}

/** A request, read. */
export interface ProtocolCall {
  /** The body as it came. */
  readonly text: string;
  /** In the internal form. */
  readonly request: ChatRequest;
  readonly toolset: Toolset | null;
  readonly isStream: boolean;
  /** What the body says about whose it is, best first; whatever is not a string is ignored. */
  readonly sessionNames: readonly unknown[];
  /**
   * The answer that the call goes on from, where an upstream holds the conversation, by the upstream's name for it: the messages are only
   * what is new since, and no other upstream knows the rest.
   */
  readonly previousId: string | null;
  /** The conversation that an upstream holds, by its name there. The same goes for it. */
  readonly conversationId: string | null;
  /** Pieces of earlier answers that the upstream holds and the messages only name, by its names for them. */
  readonly heldItemIds: readonly string[];
}

export interface ForUpstream {
  /** What the model is called there. */
  readonly model: string;
  /** Whether token ids are to be asked for, see UpstreamConfig. */
  readonly tokenIds: boolean;
}

export interface UpstreamCall {
  readonly body: string;
  readonly reader: AnswerReader;
}

/** Reads one answer of an upstream as it passes, and takes out what the client did not ask for. Either `whole` once, or `event`s. */
export interface AnswerReader {
  /** @returns what the client gets. @throws {UpstreamError} if it is not of the protocol. */
  whole(text: string): string;
  /** @throws {UpstreamError} */
  event(event: SseEvent): RelayedEvent;
  /**
   * What was answered; null unless all of it has come: a part of an answer is never taken for one. Does not throw, since it is also asked
   * where an answer is cleaned up after: what is not of the protocol is found by `whole` and `event`.
   */
  answer(): UpstreamAnswer | null;
  /** Whether the upstream has said, under a status of success, that it failed: the client was told in its words, and there is no answer. */
  hasFailed(): boolean;
}

export interface RelayedEvent {
  /** What the client gets; empty for an event that it did not ask for. */
  readonly text: string;
  /** The answer is whole with it: it goes out when the decision is durable, and so do all that follow. */
  readonly isHeld: boolean;
  /** Nothing follows that anybody needs. */
  readonly isLast: boolean;
}

/** What an upstream answered, in the internal form. */
export interface UpstreamAnswer {
  /** How the upstream names its answer. */
  readonly responseId: string | null;
  /** How it names the pieces of its answer, where later calls may refer to those. */
  readonly itemIds?: readonly string[];
  /** One for each choice (`n`); none where nothing is said (embeddings). */
  readonly outputs: readonly Message[];
  readonly finishReason: string | null;
  readonly tokens: SampledTokens | null;
  /** null where it does not say, or in another form. */
  readonly usage: Usage | null;
}

/** What a policy of ours answered. */
export interface OwnAnswer {
  readonly id: string;
  readonly model: string;
  /** Milliseconds since 1970. */
  readonly atMs: number;
  readonly message: Message;
  readonly finishReason: 'stop' | 'tool_calls' | 'length';
  /** What a policy that writes text drew; null where a policy chose, or nothing was decided. */
  readonly tokens: SampledTokens | null;
  readonly usage: Usage;
}
