import type { Message, Tool } from '../schemas/message';
import type { RewardRecord } from '../schemas/reward';
import type { Trajectory } from '../schemas/trajectory';
import { composeReward } from '../scoring/compose';
import { costOf, THRIFT, thriftOf } from '../scoring/thrift';
import { sha256Hex } from '../storage/digest';
import { scoresOf } from './feedback-index';
import type { LiveDecision } from './read-live-decisions';

/** A live decision as training reads it: a trajectory of its own, and what it earned. */
export interface LiveExample {
  readonly trajectory: Trajectory;
  readonly messages: ReadonlyMap<string, Message>;
  readonly toolsets: ReadonlyMap<string, readonly Tool[]>;
  readonly rewards: readonly RewardRecord[];
  readonly reward: number;
}

export interface LiveExampleOptions {
  readonly weights: Readonly<Record<string, number>>;
  /** See LiveSource. */
  readonly costPerCall: number | null;
  /** When it is read: the `at` of its rewards. */
  readonly at: string;
}

/**
 * What one live decision teaches. Feedback on the answer wins over feedback on its session, which is the reward of every decision of it.
 *
 * @returns null while a score with a weight is missing: nobody has said yet what the answer was worth. A reason if it teaches nothing:
 *   `redacted` (what the policy read is not what is recorded), `no-arm`, `no-cost`, `reward-out-of-range`.
 */
export function toLiveExample(
  live: LiveDecision,
  { weights, costPerCall, at }: LiveExampleOptions,
): LiveExample | { readonly dropped: string } | null {
  const { agent, messages, answer, tools } = live;
  const decision = { ...live.decision };
  delete decision.alternatives; // nobody reads their messages
  const scores = new Map([...scoresOf(live.sessionFeedback), ...scoresOf(live.feedback)]);
  const measured = Object.keys(weights).filter(
    (scorer) => scorer !== THRIFT || costPerCall === null,
  );
  if (!measured.every((scorer) => scores.has(scorer))) return null;
  if (decision.untrainable !== undefined) return { dropped: decision.untrainable };
  if (decision.sampled.kind !== 'arm') return { dropped: 'no-arm' };
  if (costPerCall !== null) {
    const cost = costOf(decision);
    if (cost === null) return { dropped: 'no-cost' };
    scores.set(THRIFT, thriftOf(cost, costPerCall));
  }
  const reward = composeReward(scores, weights);
  if (reward === null || reward < 0 || reward > 1) return { dropped: 'reward-out-of-range' };

  const { id } = decision;
  const ids = [...decision.context, decision.output];
  return {
    trajectory: {
      ...{ id, task: null, agent, attempt: 1, member: 0 },
      outcome: { kind: 'completed', result: null },
      decisions: [decision],
      metadata: { session: live.session },
    },
    messages: new Map([...messages, answer].map((message, i) => [ids[i] as string, message])),
    toolsets: new Map(
      decision.toolset === null || tools === null ? [] : [[decision.toolset, tools]],
    ),
    rewards: Array.from(scores, ([scorer, value]) => ({
      id: `reward-${sha256Hex(JSON.stringify([id, scorer, '1'])).slice(0, 32)}`,
      ...{ trajectory: id, decision: null, scorer, scorerVersion: '1', value },
      ...{ by: scorer, at, supersedes: null },
    })),
    reward,
  };
}
