import type { LiveIntent } from '../../schemas/live-line';
import type { Recorder, RecordedCall } from './recorder';
import type { FeedbackRecord } from '../../schemas/feedback';
import type { RewardWriter } from './reward-writer';

/**
 * Replaces secrets and personal data in what is about to be written. It stands in front of the recorder and of the reward writer, so there
 * is no way of writing around it, and whoever records in future passes it as well.
 *
 * @throws nothing that quotes what it was given. Whatever it throws, nothing is written: a fault here must not write what should be hidden.
 */
export interface Redaction {
  /** The call as it may be written: ids of messages and tools are those of the replaced texts, so no hash is of what was said. */
  call(call: RecordedCall): RecordedCall;
  /** One text. @param agent whose settings count; null for those of agents without any. */
  text(agent: string | null, text: string): string;
  /** All texts in a value of JSON, names of members included. */
  json<T>(agent: string | null, value: T): T;
  /** What an agent calls a session: as it is, unless there is something in it to be replaced. The same name always gives the same. */
  sessionName(agent: string | null, name: string): string;
  /** Who uses the agent, as the agent names them: never as it is. Null where nothing is to be kept of them. */
  user(name: string): string | null;
  /** How many values were replaced since the start, by agent and kind. A message that is sent again and again counts once while it is remembered. */
  counts(): ReadonlyMap<string, ReadonlyMap<string, number>>;
}

/** Writes everything as it was said, and nothing of who said it. */
export const NO_REDACTION: Redaction = {
  call: ({ user: _, ...call }) => call,
  text: (_, text) => text,
  json: (_, value) => value,
  sessionName: (_, name) => name,
  user: () => null,
  counts: () => new Map(),
};

/** The same recorder, for what was redacted. */
export function redactRecorder(recorder: Recorder, redaction: Redaction): Recorder {
  const { intents } = recorder;
  const recordUse = recorder.recordUse?.bind(recorder);
  const redacted = <T extends LiveIntent>({ user, ...intent }: T): T => {
    const model = redaction.text(intent.agent, intent.model);
    const pseudonym = user === undefined ? null : redaction.user(user);
    return { ...intent, model, ...(pseudonym === null ? {} : { user: pseudonym }) } as T;
  };
  return {
    ...(recordUse === undefined ? {} : { recordUse: async (use) => recordUse(redacted(use)) }),
    ...(intents === undefined
      ? {}
      : {
          intents: {
            open: async (intent) => intents.open(redacted(intent)),
            close: (id, status) => intents.close(id, status),
          },
        }),
    begin: (session) => recorder.begin(session),
    async record(call) {
      await recorder.record(redaction.call(call));
    },
    recordFailure(failure) {
      recorder.recordFailure({
        ...failure,
        detail: redaction.text(failure.agent, failure.detail),
      });
    },
  };
}

/**
 * The same writer. What people wrote is redacted, their idempotency key included; and the trajectory's name, which may be an answer's id as
 * somebody says it. Decisions, keys and times are ours.
 */
export function redactRewards(rewards: RewardWriter, redaction: Redaction): RewardWriter {
  return {
    async write(record) {
      const { decision, by, at, ...said } = record;
      const { trajectory } = said;
      const agent = /^(?:live|session|answers)\/([^/]+)\//.exec(trajectory)?.[1] ?? null;
      const redacted = redaction.json(agent, said);
      return rewards.write({
        ...redacted,
        // An upstream's id of an answer, as the decision has it: pieces of one may look like an IBAN, and the two would never join.
        trajectory: trajectory.startsWith('answers/') ? trajectory : redacted.trajectory,
        decision,
        by,
        at,
      } satisfies FeedbackRecord);
    },
  };
}
