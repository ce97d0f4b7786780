import { TransientError } from '../../errors';
import type { Decision } from '../../schemas/decision';
import type { Message, Tool } from '../../schemas/message';
import type { RecordedFailure, Recorder } from './recorder';

/** What one session of a rollout batch did. */
export interface SessionRecording {
  /** Each id once; `sequence` counts from 1 in the order in which the calls were answered. */
  readonly decisions: readonly Decision[];
  /** Every message and toolset that the decisions name, by id. */
  readonly messages: ReadonlyMap<string, Message>;
  readonly toolsets: ReadonlyMap<string, readonly Tool[]>;
  readonly failures: readonly RecordedFailure[];
  /** How many of the failures, counted from the last, came after the last answered call. */
  readonly lateFailures: number;
  /** Calls that had no answer yet when the session was taken. */
  readonly pendingCalls: number;
}

/**
 * The recorder of one batch of rollouts, in memory: a batch's activity writes what was taken as one segment, and its result commits it.
 * Until then nothing is durable, nor needs to be: if the process dies, the activity runs again and nobody has seen the batch.
 */
export interface BatchRecorder extends Recorder {
  /** From now on calls of this session are recorded; before it and after `take` they are refused. */
  open(session: string): void;
  /**
   * What the session did so far, and closes it: a call that an abandoned agent makes later lands nowhere. A session that was not open did
   * nothing.
   */
  take(session: string): SessionRecording;
}

interface OpenSession {
  readonly decisions: Map<string, Decision>;
  readonly messages: Map<string, Message>;
  readonly toolsets: Map<string, readonly Tool[]>;
  readonly failures: RecordedFailure[];
  lateFailures: number;
  pendingCalls: number;
}

function emptySession(): OpenSession {
  return {
    decisions: new Map(),
    messages: new Map(),
    toolsets: new Map(),
    failures: [],
    lateFailures: 0,
    pendingCalls: 0,
  };
}

export function createBatchRecorder(): BatchRecorder {
  const open = new Map<string, OpenSession>();
  return {
    open(session) {
      if (!open.has(session)) open.set(session, emptySession());
    },

    take(session) {
      const taken = open.get(session) ?? emptySession();
      open.delete(session);
      return { ...taken, decisions: [...taken.decisions.values()] };
    },

    begin(session) {
      const recording = open.get(session);
      if (recording === undefined) return () => undefined; // over already: nobody counts any more
      recording.pendingCalls += 1;
      return (isAnswer) => {
        recording.pendingCalls -= 1;
        if (isAnswer) recording.lateFailures = 0; // also an answer without a decision is one
      };
    },

    async record({ session, decision, messages, tools }) {
      const recording = open.get(session);
      if (recording === undefined) {
        throw new TransientError(
          'the session is not open here: its rollout is over, or runs elsewhere',
          {
            context: { session },
          },
        );
      }
      // A client that retried a request got the same answer under the same id.
      if (recording.decisions.has(decision.id)) return;
      const sequence = recording.decisions.size + 1;
      recording.decisions.set(decision.id, { ...decision, sequence });
      for (const [id, message] of messages) {
        if (!recording.messages.has(id)) recording.messages.set(id, message);
      }
      if (decision.toolset !== null && tools !== null)
        recording.toolsets.set(decision.toolset, tools);
    },

    recordFailure(failure) {
      const recording = open.get(failure.session);
      if (recording === undefined) return; // over already: nobody counts any more
      recording.failures.push(failure);
      recording.lateFailures += 1;
    },
  };
}
