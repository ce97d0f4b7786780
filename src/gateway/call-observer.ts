import type { Decision } from '../schemas/decision';
import type { LiveUse } from '../schemas/live-line';

/** What is known of a whole answer: the decision, or what a call used in which nothing was decided. */
export type Answered = Decision | LiveUse;

/**
 * Watches one model call for operators: metrics, traces. It writes nothing of the call, and must not throw: an observer that fails must not
 * take the call with it.
 */
export interface CallObserver {
  /** What an upstream is to be told beside the call itself. */
  readonly upstreamHeaders?: Readonly<Record<string, string>>;
  /**
   * Whose call it is, with the session as it is recorded.
   *
   * @param model that of upstreams; null for another name: what is none of ours is free text of the request's.
   */
  called(agent: string, model: string | null, session: string): void;
  /** A policy of ours answers. Not said where an upstream does. */
  byPolicy(policy: string): void;
  /** The first bytes of a streamed answer are here. */
  streams(): void;
  /** There is a whole answer. @param isRecorded whether that is durable. */
  decided(answered: Answered, isRecorded: boolean): void;
  /** The last that is said, once. @param status that of the answer; of a stream that broke off, the one that its error stands for. */
  ended(status: number): void;
}

export const NO_OBSERVER: CallObserver = {
  called() {},
  byPolicy() {},
  streams() {},
  decided() {},
  ended() {},
};
