import { createBatchRecorder } from '../../../src/gateway/recording/batch-recorder';
import { IntegrityError } from '../../../src/errors';
import type { CheckpointFiles, Feedback } from '../../../src/policies/policy-kind';
import type { BatchManifest } from '../../../src/rollouts/batch-manifest';
import { readFeedback } from '../../../src/rollouts/read-feedback';
import type { FinishedRollout } from '../../../src/rollouts/run-batch';
import { segmentLines } from '../../../src/rollouts/segment-draft';
import { ChoiceConfig } from '../../../src/schemas/choice-config';
import type { AttemptOutcome } from '../../../src/schemas/outcome';
import type { RewardRecord } from '../../../src/schemas/reward';
import { writeJsonLines } from '../../../src/storage/json-objects';
import { runSegmentKey } from '../../../src/storage/keys';
import { digest } from '../../fakes/fake-activities';
import { createMemoryObjectStore } from '../../fakes/memory-object-store';
import { recordedCall } from './recorded-session';

const config = ChoiceConfig.parse({
  arms: ['refund', 'weather', 'human'].map((name) => ({ kind: 'tool', name, tool: name })),
});
const files: CheckpointFiles = new Map([
  ['config.json', Buffer.from(JSON.stringify({ formatVersion: 1, ...config }))],
]);

const completed: AttemptOutcome = { kind: 'completed', result: null };
const infraFailed: AttemptOutcome = { kind: 'infraFailed', reason: 'agent-crashed', detail: '' };

interface Rollout {
  readonly task: string;
  readonly member?: number;
  readonly outcome?: AttemptOutcome;
  readonly arm?: string;
  readonly tools?: string[];
  readonly calls?: number;
  readonly untrainable?: 'redacted';
  /** By scorer; none: nobody could say. */
  readonly scores?: Readonly<Record<string, number>>;
}

const sessionOf = ({ task, member = 0 }: Rollout): string => `${task}.${member}`;

async function toFinished(rollout: Rollout): Promise<FinishedRollout> {
  const { task, member = 0, outcome = completed, calls = 1, untrainable, ...call } = rollout;
  const session = sessionOf(rollout);
  const recorder = createBatchRecorder();
  recorder.open(session);
  for (let turn = 0; turn < calls; turn += 1)
    await recorder.record(recordedCall(session, `query of ${task}`, { ...call, turn }));
  const recording = recorder.take(session);
  return {
    recording,
    trajectory: {
      ...{ id: session, task, agent: 'fake', attempt: 1, member, outcome },
      decisions: recording.decisions.map((decision) => ({
        ...decision,
        ...(untrainable === undefined ? {} : { untrainable }),
      })),
    },
  };
}

async function feedbackOf(
  batches: readonly (readonly Rollout[])[],
  weights: Readonly<Record<string, number>> = { resolved: 1 },
  checkpoint = files,
): Promise<Feedback[]> {
  const store = createMemoryObjectStore();
  const refs = await Promise.all(
    batches.map(async (rollouts, shard) => {
      const key = (name: string): string => runSegmentKey('run', 0, 'trajectories', name);
      const lines = segmentLines(await Promise.all(rollouts.map(toFinished)));
      const manifest: BatchManifest = {
        ...{ formatVersion: 1, checkpoint: digest(1), rollouts: rollouts.length },
        segments: [await writeJsonLines(store, key(`s${shard}`), lines)],
        ...{ outcomes: {}, drops: {} },
      };
      return writeJsonLines(store, key(`s${shard}-batch`), [manifest]);
    }),
  );
  const records = batches.flat().flatMap((rollout) =>
    Object.entries(rollout.scores ?? {}).map(([scorer, value]): RewardRecord => ({
      ...{ id: `${sessionOf(rollout)}-${scorer}`, trajectory: sessionOf(rollout) },
      ...{ decision: null, scorer, scorerVersion: '1', value, by: scorer },
      ...{ at: '2026-11-24T08:00:00.000Z', supersedes: null },
    })),
  );
  const rewards = await writeJsonLines(store, runSegmentKey('run', 0, 'rewards', 'r'), records);
  return readFeedback(store, { batches: refs, rewards, weights }, checkpoint);
}

const texts = (feedback: readonly Feedback[]): string[] => feedback.map(({ text }) => text);

describe('the feedback that a policy learns from', () => {
  it('is each decision with what its trajectory earned, and nothing else', async () => {
    const feedback = await feedbackOf([[{ task: 'a', arm: 'weather', scores: { resolved: 1 } }]]);
    expect(feedback).toEqual([
      {
        text: 'query of a',
        available: ['refund', 'weather'],
        arm: 'weather',
        propensity: 0.5,
        reward: 1,
      },
    ]);
  });

  it('shares one reward among the decisions of a trajectory', async () => {
    const feedback = await feedbackOf([[{ task: 'a', calls: 3, scores: { resolved: 0.25 } }]]);
    expect(feedback.map(({ reward }) => reward)).toEqual([0.25, 0.25, 0.25]);
  });

  it('composes the reward by the weights, over the scorers that apply', async () => {
    const batch = [
      { task: 'a', scores: { resolved: 1, polite: 0, speed: 0.9 } },
      { task: 'b', scores: { polite: 0.5 } },
    ];
    const feedback = await feedbackOf([batch], { resolved: 3, polite: 1 });
    expect(feedback.map(({ reward }) => reward)).toEqual([0.75, 0.5]);
  });

  it('leaves out decisions that may not be trained on, and no other', async () => {
    const batch: Rollout[] = [
      { task: 'a', untrainable: 'redacted', scores: { resolved: 1 } },
      { task: 'b', scores: { resolved: 1 } },
    ];
    expect(texts(await feedbackOf([batch]))).toEqual(['query of b']);
  });

  it('lists the arms that the request could take, in the policy’s order', async () => {
    await expect(
      feedbackOf([[{ task: 'a', tools: ['human', 'refund'], scores: { resolved: 1 } }]]),
    ).resolves.toMatchObject([{ available: ['refund', 'human'] }]);
  });

  it('shares one array of arms among decisions with the same tools', async () => {
    const [a, b] = await feedbackOf([
      [
        { task: 'a', scores: { resolved: 1 } },
        { task: 'b', scores: { resolved: 0 } },
      ],
    ]);
    expect(a?.available).toBe(b?.available);
  });

  it('leaves out a whole group of which infrastructure took a member', async () => {
    const feedback = await feedbackOf([
      [
        { task: 'a', member: 0, scores: { resolved: 1 } },
        { task: 'a', member: 1, outcome: infraFailed },
        { task: 'a', member: 2, scores: { resolved: 0 } },
        { task: 'b', scores: { resolved: 1 } },
      ],
    ]);
    expect(texts(feedback)).toEqual(['query of b']);
  });

  it('leaves out a whole group also where the failed member is in another batch', async () => {
    const feedback = await feedbackOf([
      [{ task: 'a', member: 0, scores: { resolved: 1 } }],
      [
        { task: 'a', member: 1, outcome: infraFailed },
        { task: 'b', scores: { resolved: 1 } },
      ],
    ]);
    expect(texts(feedback)).toEqual(['query of b']);
  });

  it('never takes a failure of infrastructure for a reward, even where a record names it', async () => {
    const feedback = await feedbackOf([
      [{ task: 'a', outcome: infraFailed, scores: { resolved: 0 } }],
    ]);
    expect(feedback).toEqual([]);
  });

  it('leaves out what nobody could score', async () => {
    const feedback = await feedbackOf([[{ task: 'a' }, { task: 'b', scores: { resolved: 1 } }]]);
    expect(texts(feedback)).toEqual(['query of b']);
  });

  it('keeps a failure of the policy, with the reward that it earned', async () => {
    const outcome: AttemptOutcome = { kind: 'policyFailed', reason: 'deadline' };
    const feedback = await feedbackOf([[{ task: 'a', outcome, scores: { resolved: 0 } }]]);
    expect(feedback).toMatchObject([{ text: 'query of a', reward: 0 }]);
  });

  it('refuses a checkpoint without a config', async () => {
    await expect(feedbackOf([[]], { resolved: 1 }, new Map())).rejects.toThrow(IntegrityError);
  });
});
