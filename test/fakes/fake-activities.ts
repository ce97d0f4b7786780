import { Context } from '@temporalio/activity';
import { ApplicationFailure } from '@temporalio/common';
import type { CollectLiveActivities } from '../../activities/collect-live';
import type { EvaluateActivities } from '../../activities/evaluate';
import type { OffPolicyActivities } from '../../activities/estimate-off-policy';
import type { PromoteActivities } from '../../activities/promote';
import type { RolloutActivities } from '../../activities/rollout';
import type { ScoreActivities } from '../../activities/score';
import type { TrainActivities } from '../../activities/train';
import type { Digest } from '../../src/schemas/ids';
import type { ObjectRef } from '../../src/schemas/object-ref';
import type { z } from 'zod';
import type {
  Champion,
  CollectLiveInput,
  EvaluationSummary,
  RollOutInput,
} from '../../src/schemas/stages';

export type AllActivities = EvaluateActivities &
  PromoteActivities &
  RolloutActivities &
  ScoreActivities &
  CollectLiveActivities &
  OffPolicyActivities &
  TrainActivities;

/** `sha256:` and the same digit 64 times, or a hexadecimal number padded with zeros. */
export function digest(of: number): Digest {
  return `sha256:${of.toString(16).padStart(64, '0')}`;
}

export function ref(name: string): ObjectRef {
  return { key: `v1/runs/fake/${name}`, sha256: '0'.repeat(64), sizeBytes: 1 };
}

const estimate = (value: number): { value: number; low: number; high: number; n: number } => ({
  value,
  low: value - 0.01,
  high: value + 0.01,
  n: 100,
});

/** The world that the fake activities act on; tests change it and read it. */
export interface FakeWorld {
  champion: Champion | null;
  /** Names of the activities that ran, in order. */
  readonly calls: string[];
  /** Names of those that were cancelled while they were held. */
  readonly cancelled: string[];
  /** Inputs of the rollouts, in order. */
  readonly rollOuts: RollOutInput[];
  /** Inputs of the collections of live feedback, in order. */
  readonly collected: z.input<typeof CollectLiveInput>[];
  /** Failures to throw, by activity, first come first served. */
  readonly failures: Map<string, Error[]>;
  gate: EvaluationSummary['decision'];
  /** Answers of `collectLive` before it has enough: numbers of decisions. */
  readonly waiting: number[];
  /** How much more a candidate earns off-policy. */
  offPolicy: number;
  drops: Record<string, number>;
  /** Resolves when training may finish; a test that wants to be in the middle of one replaces it. */
  trainGate: Promise<void>;
  /** The same for rollouts, by what is rolled out. */
  rollOutGate: (input: RollOutInput) => Promise<void>;
  /** Is called when a promotion asks, before it is answered. */
  beforePromote: () => void;
  searchAttributes: boolean;
}

export function createFakeWorld(): FakeWorld {
  return {
    champion: { digest: digest(1), generation: 1 },
    calls: [],
    cancelled: [],
    rollOuts: [],
    collected: [],
    failures: new Map(),
    gate: 'pass',
    waiting: [],
    offPolicy: 0.1,
    drops: {},
    trainGate: Promise.resolve(),
    rollOutGate: () => Promise.resolve(),
    beforePromote: () => undefined,
    searchAttributes: true,
  };
}

/** A failure as activities/failure.ts makes them. */
export function failure(type: string, message: string): Error {
  return ApplicationFailure.create({ message, type, nonRetryable: true });
}

/** Activities that do nothing but answer: the i-th training makes the checkpoint 0x100 + i, each better than the last. */
export function createFakeActivities(world: FakeWorld): AllActivities {
  const begin = (name: string): void => {
    world.calls.push(name);
    const planned = world.failures.get(name)?.shift();
    if (planned !== undefined) throw planned;
  };
  /** Until the gate opens, or the cancellation reaches the activity with a heartbeat. */
  const hold = async (name: string, gate: Promise<void>): Promise<void> => {
    try {
      await Promise.race([gate, Context.current().cancelled]);
    } catch (error) {
      world.cancelled.push(name);
      throw error;
    }
  };
  const tasks = { train: 100, select: 10, gate: 50, report: 50 };
  let trained = 0;
  return {
    async openRun() {
      begin('openRun');
      return {
        dataset: digest(9),
        champion: world.champion,
        tasks,
        searchAttributes: world.searchAttributes,
      };
    },
    async openEvaluation() {
      begin('openEvaluation');
      if (world.champion === null) throw failure('InvalidInput', 'no champion');
      return {
        dataset: digest(9),
        champion: world.champion,
        tasks,
        searchAttributes: world.searchAttributes,
      };
    },
    async createPolicy() {
      begin('createPolicy');
      return { checkpoint: digest(1) };
    },
    async registerChampion({ checkpoint }) {
      begin('registerChampion');
      world.champion = { digest: checkpoint as Digest, generation: 1 };
      return world.champion;
    },
    async rollOut(input) {
      begin('rollOut');
      world.rollOuts.push(input);
      await hold('rollOut', world.rollOutGate(input));
      const drops = input.selection.split === 'train' ? world.drops : {};
      return {
        batch: ref(`${input.iteration}-${input.shard}`),
        rollouts: input.selection.count * input.repeats,
        outcomes: { completed: input.selection.count },
        drops,
      };
    },
    async score(input) {
      begin('score');
      const value = Math.min(0.9, 0.6 + 0.05 * input.iteration);
      return {
        rewards: ref(`rewards-${input.iteration}`),
        reward: estimate(value),
        metrics: { resolved: estimate(value) },
        rollouts: 10,
        drops: {},
      };
    },
    async collectLive(input) {
      begin('collectLive');
      world.collected.push(input);
      const decisions = world.waiting.shift();
      if (decisions !== undefined) return { kind: 'waiting', decisions };
      return {
        kind: 'collected',
        to: `2026-11-25T0${input.iteration}:00:00.000Z`,
        training: { batches: [ref('live')], rewards: ref('live-rewards') },
        heldOut: { batches: [ref('held-out')], rewards: ref('held-out-rewards') },
        decisions: 100,
        reward: estimate(0.7),
        drops: world.drops,
      };
    },
    async estimateOffPolicy() {
      begin('estimateOffPolicy');
      const logged = 0.7;
      const value = logged + world.offPolicy;
      const bounds = { lower: world.offPolicy - 0.01, upper: world.offPolicy + 0.01 };
      return { n: 10, value, logged, ...bounds, effectiveN: 9, refusal: null };
    },
    async train(input) {
      begin('train');
      await hold('train', world.trainGate);
      trained = input.iteration + 1;
      return {
        checkpoint: digest(0x100 + trained),
        replay: ref(`replay-${trained}`),
        optimizerSteps: 3,
        examples: 30,
        metrics: { loss: 1 / trained },
      };
    },
    async compare(input) {
      begin('compare');
      return {
        evaluation: digest(0xe0),
        split: input.split,
        dataset: digest(9),
        baseline: input.baseline.checkpoint as Digest,
        candidate: input.candidate.checkpoint as Digest,
        decision: world.gate,
        reasons: [`the fake gate says ${world.gate}`],
        target: {
          metric: 'resolved',
          baseline: estimate(0.6),
          candidate: estimate(0.8),
          difference: 0.2,
          lower: 0.15,
        },
        guardrails: [],
        fixed: 12,
        broken: 2,
      };
    },
    async openPromotion() {
      begin('openPromotion');
      return { searchAttributes: world.searchAttributes };
    },
    async promote({ approval }) {
      begin('promote');
      world.beforePromote();
      const { champion, candidate } = approval.request;
      const current = world.champion;
      if (
        current === null ||
        current.digest !== champion.digest ||
        current.generation !== champion.generation
      ) {
        return { kind: 'stale', champion: current ?? { digest: digest(1), generation: 1 } };
      }
      world.champion = { digest: candidate as Digest, generation: current.generation + 1 };
      return { kind: 'moved', champion: world.champion, previous: current.digest };
    },
    async rollback({ generation }) {
      begin('rollback');
      world.champion = { digest: digest(1), generation: generation + 1 };
      return { kind: 'moved', champion: world.champion, previous: null };
    },
  };
}
