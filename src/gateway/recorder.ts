import type { Decision } from '../schemas/decision';
import type { Message, Tool } from '../schemas/message';

/** One answered call, with the messages that its ids stand for. */
export interface RecordedCall {
  readonly session: string;
  readonly agent: string;
  readonly decision: Decision;
  /** The request's messages and the answer, by id; a recorder keeps each once. */
  readonly messages: ReadonlyMap<string, Message>;
  readonly tools: readonly Tool[] | null;
}

/** A call that got no answer: it is how an infrastructure failure is told from a failure of the policy. */
export interface RecordedFailure {
  readonly session: string;
  readonly agent: string;
  /** The HTTP status that the agent saw. */
  readonly status: number;
  readonly detail: string;
}

/** Where a gateway's decisions go: a rollout batch's memory, or for live traffic the object store. */
export interface Recorder {
  /**
   * A rollout's call has come in; the returned function says that it was answered, and whether with an answer or with an
   * error. A call between the two when its agent ran out of time is the upstream's delay, not the policy's.
   */
  begin(session: string): (isAnswer: boolean) => void;
  /** Resolves once the decision is as durable as this recorder promises; only then is the agent answered. */
  record(call: RecordedCall): Promise<void>;
  recordFailure(failure: RecordedFailure): void;
}
