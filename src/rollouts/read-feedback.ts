import { IntegrityError } from '../errors';
import { decisionArms, policyText } from '../policies/choice/arms';
import type { CheckpointFiles, Feedback } from '../policies/policy-kind';
import { ChoiceConfig } from '../schemas/choice-config';
import type { Decision } from '../schemas/decision';
import type { ObjectRef } from '../schemas/object-ref';
import { RewardRecord } from '../schemas/reward';
import type { Trajectory } from '../schemas/trajectory';
import { composeReward } from '../scoring/compose';
import { indexRewards } from '../scoring/reward-index';
import { readJsonLines } from '../storage/json-objects';
import type { ObjectStore } from '../storage/object-store';
import { readSegments, type Segment } from './segment-reader';

export interface FeedbackSource {
  readonly batches: readonly ObjectRef[];
  readonly rewards: ObjectRef;
  readonly weights: Readonly<Record<string, number>>;
}

/**
 * What a choice policy learns from: each decision of each group, with the trajectory's reward. A group of which
 * infrastructure took a member is left out whole: the members that remain are survivors, not a sample. A decision that may not be trained
 * on (see Decision) is left out alone: its trajectory is whole, and its reward counts for the others.
 *
 * No task and no reference is read here; see test/activities/labels.test.ts.
 *
 * @param files the parent checkpoint's: its config says which arms a decision had.
 */
export async function readFeedback(
  store: ObjectStore,
  { batches, rewards, weights }: FeedbackSource,
  files: CheckpointFiles,
): Promise<Feedback[]> {
  const config = parseConfig(files);
  const scores = indexRewards(await readJsonLines(store, rewards, RewardRecord));
  const broken = new Set<string>();
  const byTask = new Map<string, Feedback[]>();
  for await (const segment of readSegments(store, batches)) {
    for (const trajectory of segment.trajectories) {
      const group = trajectory.task ?? trajectory.id;
      const reward = composeReward(scores.get(trajectory.id) ?? new Map(), weights);
      if (trajectory.outcome?.kind === 'infraFailed' || reward === null) {
        broken.add(group);
        continue;
      }
      const feedback = trajectory.decisions
        .filter(({ untrainable }) => untrainable === undefined)
        .map((decision) => toFeedback(config, segment, trajectory, decision, reward));
      const others = byTask.get(group);
      if (others === undefined) byTask.set(group, feedback);
      else others.push(...feedback);
    }
  }
  return [...byTask].flatMap(([group, feedback]) => (broken.has(group) ? [] : feedback));
}

function toFeedback(
  config: ChoiceConfig,
  segment: Segment,
  trajectory: Trajectory,
  decision: Decision,
  reward: number,
): Feedback {
  if (decision.sampled.kind !== 'arm') {
    throw new IntegrityError('a decision of a choice policy names no arm', {
      context: { trajectory: trajectory.id },
    });
  }
  const tools = decision.toolset === null ? null : segment.toolset(decision.toolset);
  return {
    text: policyText(
      config,
      decision.context.map((id) => segment.message(id)),
      tools,
    ),
    available: decisionArms(config, tools, decision.sampled),
    arm: decision.sampled.arm,
    propensity: decision.sampled.propensity,
    reward,
  };
}

function parseConfig(files: CheckpointFiles): ChoiceConfig {
  const bytes = files.get('config.json');
  if (bytes === undefined) throw new IntegrityError('a checkpoint lacks config.json');
  const { formatVersion, ...config } = JSON.parse(Buffer.from(bytes).toString('utf8')) as Record<
    string,
    unknown
  >;
  if (formatVersion !== 1) {
    throw new IntegrityError('a checkpoint of another format version: expected 1', {
      context: { got: String(formatVersion) },
    });
  }
  return ChoiceConfig.parse(config);
}
