import { CancelledFailure } from '@temporalio/common';
import { setTimeout as delay } from 'node:timers/promises';
import { InvalidInputError, NotFoundError, TransientError } from '../../src/errors';
import { BatchManifest } from '../../src/rollouts/batch-manifest';
import { readSegments } from '../../src/rollouts/segment-reader';
import type { RollOutResult } from '../../src/schemas/stages';
import type { Trajectory } from '../../src/schemas/trajectory';
import { readJson } from '../../src/storage/json-objects';
import { digest } from '../fakes/fake-activities';
import {
  activityEnvironment,
  agent,
  ARMS,
  openDesk,
  runActivity,
  trajectoriesOf,
  type Desk,
} from './desk';

/** What of a trajectory must not depend on when, where and in how many attempts it was rolled out. */
function timeless(trajectories: readonly Trajectory[]): unknown[] {
  return trajectories.map(({ decisions, ...rest }) => ({
    ...rest,
    // A response id is signed with a key that each batch makes for itself.
    decisions: decisions.map(({ id: _, latencyMs: __, at: ___, ...decision }) => decision),
  }));
}

const rollOut = (desk: Desk, rest = {}): Promise<RollOutResult> =>
  runActivity(() => desk.rollout.rollOut(desk.rollOutInput(rest)));

describe('a rollout batch', () => {
  it('records what each agent decided, and commits it as segments named by a manifest', async () => {
    const desk = await openDesk();
    const result = await rollOut(desk);
    expect(result).toMatchObject({ rollouts: 20, outcomes: { completed: 20 }, drops: {} });
    const manifest = await readJson(desk.store, result.batch, BatchManifest);
    expect(manifest).toMatchObject({ checkpoint: desk.checkpoint, rollouts: 20, drops: {} });
    for (const { key } of [result.batch, ...manifest.segments])
      expect(key).toMatch(/^v1\/runs\/desk-1\.abc\/000002\/trajectories\/s0-test-1-/);
    const trajectories = await trajectoriesOf(desk.store, result.batch);
    expect(new Set(trajectories.map(({ task }) => task)).size).toBe(20);
    for (const { decisions, outcome } of trajectories) {
      expect(decisions).toHaveLength(1);
      expect(decisions[0]).toMatchObject({
        ...{ sequence: 1, policy: 'support', checkpoint: desk.checkpoint },
        sampled: { kind: 'arm', propensity: 1 / ARMS.length, available: ARMS.length },
      });
      const { sampled } = decisions[0] ?? {};
      expect(outcome).toEqual({ kind: 'completed', result: { tool: sampled?.arm } });
    }
  });

  it('keeps the question and the answer of each decision', async () => {
    const desk = await openDesk();
    const { batch } = await rollOut(desk);
    for await (const segment of readSegments(desk.store, [batch])) {
      const [first] = segment.trajectories;
      const [decision] = first?.decisions ?? [];
      const question = segment.message(decision?.context[0] ?? '');
      const n = first?.task?.split('-')[1] ?? '';
      expect(question).toEqual({ role: 'user', content: `query train ${n}` });
      expect(segment.message(decision?.output ?? '').tool_calls?.[0]?.function.name).toBe(
        decision?.sampled.arm,
      );
    }
  });

  it('shows agents their task’s input and no label', async () => {
    const desk = await openDesk();
    await rollOut(desk);
    expect(desk.invocations).toHaveLength(20);
    expect(JSON.stringify([desk.invocations, desk.policies.calls])).not.toContain('label-of-');
  });

  it('answers with the checkpoint that it was given, at its temperature', async () => {
    const desk = await openDesk();
    await rollOut(desk, { temperature: 0 });
    for (const call of desk.policies.calls)
      expect(call).toMatchObject({ checkpoint: desk.checkpoint, sampling: { temperature: 0 } });
  });

  it('draws by seed, iteration, task and member, so that it can be rolled out again', async () => {
    const desk = await openDesk();
    const again = await openDesk();
    const first = await rollOut(desk, { repeats: 3 });
    const second = await rollOut(again, { repeats: 3, rollouts: { concurrency: 1 } });
    const trajectories = await trajectoriesOf(desk.store, first.batch);
    expect(timeless(trajectories)).toEqual(
      timeless(await trajectoriesOf(again.store, second.batch)),
    );
    expect(new Set(desk.policies.calls.map(({ uniform }) => uniform)).size).toBe(60);
    const other = await rollOut(desk, { repeats: 3, seed: 8 });
    const armsOf = (all: readonly Trajectory[]): unknown =>
      all.map(({ decisions }) => decisions[0]?.sampled.arm);
    expect(armsOf(await trajectoriesOf(desk.store, other.batch))).not.toEqual(armsOf(trajectories));
  });

  it('begun again by a person makes the same decisions in sessions and segments of their own', async () => {
    const desk = await openDesk();
    const first = await trajectoriesOf(desk.store, (await rollOut(desk)).batch);
    const second = await trajectoriesOf(desk.store, (await rollOut(desk, { go: 1 })).batch);
    const without = (all: readonly Trajectory[]): unknown =>
      timeless(all.map((trajectory) => ({ ...trajectory, id: '' })));
    expect(without(second)).toEqual(without(first));
    expect(new Set([...first, ...second].map(({ id }) => id)).size).toBe(40);
    const keys = desk.invocations.map(({ idempotencyKey }) => idempotencyKey);
    expect(new Set(keys).size).toBe(20); // a tool that acts on the world acts once
  });

  it('rolls the same tasks out in two shards as in one', async () => {
    const desk = await openDesk();
    const one = await rollOut(desk);
    const shard = (number: number, from: number, count: number): Promise<RollOutResult> =>
      rollOut(desk, {
        ...{ shard: number, shards: 2 },
        selection: { split: 'train', order: 'shuffled', from, count },
      });
    const [a, b] = [await shard(0, 0, 7), await shard(1, 7, 13)];
    expect(timeless(await trajectoriesOf(desk.store, a.batch, b.batch))).toEqual(
      timeless(await trajectoriesOf(desk.store, one.batch)),
    );
  });

  it('tells the occurrences of a task apart where it is longer than the split', async () => {
    const desk = await openDesk();
    const selection = { split: 'train', order: 'shuffled', from: 10, count: 45 } as const;
    const { batch, outcomes } = await rollOut(desk, {
      selection,
      rollouts: { concurrency: 45, attempts: 1 },
    });
    expect(outcomes).toEqual({ completed: 45 });
    const trajectories = await trajectoriesOf(desk.store, batch);
    expect(new Set(trajectories.map(({ id }) => id)).size).toBe(45);
    expect(new Set(desk.policies.calls.map(({ uniform }) => uniform)).size).toBe(45);
    for (const { decisions } of trajectories) expect(decisions).toHaveLength(1);
  });
});

describe('failures in a rollout batch', () => {
  it('are tried again, dropped, and counted by reason', async () => {
    const desk = await openDesk({
      runAgent: async (invocation) => {
        const { query } = invocation.input as { query: string };
        if (query.endsWith('3')) throw new Error('the agent broke'); // 3 and 13
        if (query.endsWith(' 5')) return null; // without one call
        return agent(invocation);
      },
    });
    const { batch, outcomes, drops } = await rollOut(desk, { rollouts: { attempts: 2 } });
    expect(outcomes).toEqual({ completed: 17, infraFailed: 3 });
    expect(drops).toEqual({ 'agent-crashed': 2, 'no-decision': 1 });
    expect(desk.invocations).toHaveLength(20 + 3);
    const dropped = (await trajectoriesOf(desk.store, batch)).filter(
      ({ outcome }) => outcome?.kind === 'infraFailed',
    );
    expect(dropped.map(({ attempt }) => attempt)).toEqual([2, 2, 2]);
  });

  it('of the upstream cost a retry and no more when it comes back', async () => {
    const desk = await openDesk({
      runAgent: async (invocation) => {
        if (desk.invocations.length === 4) desk.policies.failWith = new TransientError('busy');
        try {
          return await agent(invocation);
        } finally {
          desk.policies.failWith = null;
        }
      },
    });
    const { batch, outcomes } = await rollOut(desk, { rollouts: { concurrency: 1 } });
    expect(outcomes).toEqual({ completed: 20 });
    const attempts = (await trajectoriesOf(desk.store, batch)).map(({ attempt }) => attempt);
    expect(attempts.filter((attempt) => attempt === 2)).toHaveLength(1);
  });

  it('of an agent that never ends are the policy’s, once it was answered every time', async () => {
    const desk = await openDesk({
      runAgent: async (invocation) => {
        await agent(invocation);
        return new Promise((_, reject) =>
          invocation.signal.addEventListener('abort', () => reject(new Error('stopped'))),
        );
      },
    });
    const { outcomes, drops } = await rollOut(desk, {
      selection: { split: 'train', order: 'shuffled', from: 0, count: 3 },
      rollouts: { timeout: '300ms' },
    });
    expect({ outcomes, drops }).toEqual({ outcomes: { policyFailed: 3 }, drops: {} });
  });
});

describe('a rollout batch whose worker died', () => {
  const input = { repeats: 3, rollouts: { timeout: '5s', concurrency: 4, shards: 1, attempts: 3 } };

  it('goes on after its last segment and commits the same trajectories', async () => {
    const whole = await openDesk();
    const unbroken = await rollOut(whole, input);

    const first = activityEnvironment();
    const desk = await openDesk({
      segmentRollouts: 25, // of 60: three segments
      runAgent: async (invocation) => {
        if (desk.invocations.length === 35) first.cancel('CANCELLED');
        return agent(invocation);
      },
    });
    let last: unknown = null;
    first.on('heartbeat', (details) => {
      last = details;
    });
    const died = first.run(() => desk.rollout.rollOut(desk.rollOutInput(input)));
    await expect(died).rejects.toThrow(CancelledFailure);
    expect(last).toMatchObject({ committed: 25, of: 60 });

    const before = desk.invocations.length;
    const heartbeatDetails: unknown = JSON.parse(JSON.stringify(last));
    const resumed: RollOutResult = await activityEnvironment({ attempt: 2, heartbeatDetails }).run(
      () => desk.rollout.rollOut(desk.rollOutInput(input)),
    );
    expect(desk.invocations.length - before).toBe(35);
    expect({ ...resumed, batch: null }).toEqual({ ...unbroken, batch: null });
    expect(timeless(await trajectoriesOf(desk.store, resumed.batch))).toEqual(
      timeless(await trajectoriesOf(whole.store, unbroken.batch)),
    );
  });
});

describe('a rollout batch that cannot begin', () => {
  it('names the split that is empty', async () => {
    const desk = await openDesk();
    const selection = { split: 'gate', order: 'fixed', from: 0, count: 5 };
    await expect(rollOut(desk, { selection })).rejects.toThrow(InvalidInputError);
    await expect(rollOut(desk, { selection })).rejects.toThrow(/no tasks in the split gate/);
  });

  it('for want of its checkpoint stops beating', async () => {
    const desk = await openDesk();
    desk.policies.serve = async () => {
      throw new NotFoundError('no such checkpoint');
    };
    const environment = activityEnvironment();
    let beats = 0;
    environment.on('heartbeat', () => {
      beats += 1;
    });
    const input = desk.rollOutInput({ checkpoint: digest(5) });
    await expect(environment.run(() => desk.rollout.rollOut(input))).rejects.toThrow(NotFoundError);
    const before = beats;
    await delay(1_100);
    expect(beats).toBe(before);
    expect(desk.invocations).toEqual([]);
  });
});
