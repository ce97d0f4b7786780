import { describeError } from '../../errors';
import type { GatewayCounters } from '../metrics/counters';
import { toErrorAnswer } from '../http/error-response';
import type { CallObserver } from '../call-observer';
import { NO_OBSERVER } from '../call-observer';
import type { Caller } from '../model-call';
import type { LiveUse } from '../../schemas/live-line';
import type { RecordedCall, Recorder } from './recorder';
import type { LogEntry } from '../http/route';

export interface CallRecordDeps {
  readonly recorder: Recorder;
  readonly counters: GatewayCounters;
  readonly log: (entry: LogEntry) => void;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

/**
 * What is written of one call: that it came in, then either the decision that answered it, or how it ended. Where something cannot be
 * written, a live call goes on (an agent that people use must not fall over because its training data does) and its client is told so; a
 * rollout's call is refused, since a trajectory with a hole would teach something wrong.
 */
export interface CallRecord {
  /** Resolves once it is durable that the call came in, where the recorder keeps intents. @throws {TransientError} for a rollout. */
  open(caller: Caller, model: string): Promise<void>;
  /** Resolves once the decision is durable; only then may its answer be read to the end. @throws {TransientError} for a rollout. */
  decide(call: RecordedCall): Promise<void>;
  /** As `decide`, for a call in which nothing was decided: for live traffic it is durable what it used. */
  use(use: LiveUse): Promise<void>;
  /** Whether everything so far could be written. */
  isRecorded(): boolean;
  /** The call is over: it was answered, with a decision or without one. */
  answered(): void;
  /** The call is over, and its client got an error of this status. */
  refused(status: number, detail: string): void;
  /** The same, for something that was thrown. */
  failed(error: unknown): void;
}

/**
 * @param rollout the session that makes the call; null for live traffic.
 * @param observer told of what was answered, and how the call ended.
 */
export function createCallRecord(
  { recorder, counters, log, now }: CallRecordDeps,
  requestId: string,
  rollout: { readonly session: string; readonly agent: string } | null,
  observer: CallObserver = NO_OBSERVER,
): CallRecord {
  const { intents } = recorder;
  const ended = rollout === null ? null : recorder.begin(rollout.session);
  let isOpen = false;
  let isRecorded = true;
  let isOver = false;

  const write = async (writing: Promise<void>): Promise<boolean> => {
    try {
      await writing;
      return true;
    } catch (error) {
      isRecorded = false;
      if (rollout !== null) throw error;
      // Fail open, and say so: in the answer, the counter and the log.
      counters.unrecorded++;
      const message = 'a live call was answered but not recorded';
      log({ level: 'warn', message, requestId, error: describeError(error) });
      return false;
    }
  };
  const end = (isAnswer: boolean, status: number): void => {
    if (isOpen) intents?.close(requestId, status);
    isOpen = false;
    ended?.(isAnswer);
    observer.ended(status);
  };
  const refused = (status: number, detail: string): void => {
    if (isOver) return;
    isOver = true;
    if (rollout !== null) recorder.recordFailure({ ...rollout, status, detail });
    end(false, status);
  };

  return {
    async open({ session, agent, user }, model) {
      if (intents === undefined) return;
      const at = new Date(now()).toISOString();
      isOpen = await write(
        intents.open({
          id: requestId,
          session,
          agent,
          model,
          at,
          ...(user === undefined ? {} : { user }),
        }),
      );
    },

    async decide(call) {
      // A call whose intent could not be written is not recorded at all.
      const mayWrite = intents === undefined || isOpen;
      const noted = intents === undefined ? call : { ...call, intent: requestId };
      const isWritten = mayWrite && (await write(recorder.record(noted)));
      if (isWritten) isOpen = false;
      observer.decided(call.decision, isWritten);
    },

    async use(use) {
      const isWritten =
        recorder.recordUse !== undefined && isOpen && (await write(recorder.recordUse(use)));
      if (isWritten) isOpen = false;
      observer.decided(use, isWritten);
    },

    isRecorded: () => isRecorded,

    answered() {
      if (isOver) return;
      isOver = true;
      end(true, 200);
    },

    refused,
    failed: (error) => refused(toErrorAnswer(error, requestId).status, describeError(error)),
  };
}
