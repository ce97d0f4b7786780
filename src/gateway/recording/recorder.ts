import type { Decision } from '../../schemas/decision';
import type { LiveIntent, LiveUse } from '../../schemas/live-line';
import type { Message, Tool } from '../../schemas/message';

/** One answered call, with the messages that its ids stand for. */
export interface RecordedCall {
  readonly session: string;
  readonly agent: string;
  readonly decision: Decision;
  /** The request's messages and the answer, by id; a recorder keeps each once. */
  readonly messages: ReadonlyMap<string, Message>;
  readonly tools: readonly Tool[] | null;
  /** Who used the agent, as the request names them; becomes a pseudonym before it is written. */
  readonly user?: string;
  /** The intent that it fulfils, where intents are recorded. */
  readonly intent?: string;
}

/** A call that got no answer: it is how an infrastructure failure is told from a failure of the policy. */
export interface RecordedFailure {
  readonly session: string;
  readonly agent: string;
  /** The HTTP status that the agent saw. */
  readonly status: number;
  readonly detail: string;
}

/** Notes durably that calls came in, before any policy is asked: what a crash interrupts is known afterwards. */
export interface IntentLog {
  /** Resolves once the intent is durable. */
  open(intent: LiveIntent): Promise<void>;
  /** The call ended without a decision that was recorded, and its client was told. Not waited for. */
  close(id: string, status: number): void;
}

/** Where a gateway's decisions go: a rollout batch's memory, or for live traffic the spool. */
export interface Recorder {
  /** Left out by the recorder of a rollout batch: a batch whose process dies is rolled out again as a whole. */
  readonly intents?: IntentLog;
  /**
   * A rollout's call has come in; the returned function says that it was answered, and whether with an answer or with an
   * error. A call between the two when its agent ran out of time is the upstream's delay, not the policy's.
   */
  begin(session: string): (isAnswer: boolean) => void;
  /** Resolves once the decision is as durable as this recorder promises; only then is the agent answered. */
  record(call: RecordedCall): Promise<void>;
  /** The same for a call in which nothing was decided; its intent is fulfilled. Left out where only decisions are kept. */
  recordUse?(use: LiveUse): Promise<void>;
  recordFailure(failure: RecordedFailure): void;
}
