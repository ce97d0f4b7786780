import { CancelledFailure } from '@temporalio/common';
import { setTimeout as delay } from 'node:timers/promises';
import { workerShutdown } from '../../activities/worker-shutdown';
import { InvalidInputError, NotFoundError, TransientError } from '../../src/errors';
import { BatchManifest } from '../../src/rollouts/batch-manifest';
import { readSegments } from '../../src/rollouts/segment-reader';
import type { RollOutResult } from '../../src/schemas/stages';
import type { Decision } from '../../src/schemas/decision';
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
const armOf = (decision: Decision | undefined): string | undefined =>
  decision?.sampled.kind === 'arm' ? decision.sampled.arm : undefined;

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
    expect(result).toMatchObject({ rollouts: 20, outcomes: { completed: 20 } });
    expect(result.drops).toEqual({});
    const manifest = await readJson(desk.store, result.batch, BatchManifest);
    expect(manifest).toMatchObject({ checkpoint: desk.checkpoint, rollouts: 20 });
    expect(manifest.drops).toEqual({});
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
      expect(outcome).toEqual({ kind: 'completed', result: { tool: armOf(decisions[0]) } });
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
      expect(segment.message(decision?.output ?? '').tool_calls?.[0]?.function?.name).toBe(
        armOf(decision),
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
      all.map(({ decisions }) => armOf(decisions[0]));
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

  it('tells agents elsewhere the address that they reach the worker by', async () => {
    const desk = await openDesk({ address: { host: '0.0.0.0', url: 'http://localhost' } });
    const { outcomes } = await rollOut(desk);
    expect(outcomes).toEqual({ completed: 20 });
    for (const { baseUrl } of desk.invocations)
      expect(baseUrl).toMatch(/^http:\/\/localhost:\d+\/v1$/);
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

  it('of an upstream that is busy for a while cost no rollout, and show in the heartbeat', async () => {
    const desk = await openDesk();
    const environment = activityEnvironment();
    const beats: { done: number; waiting: number }[] = [];
    environment.on('heartbeat', (beat: (typeof beats)[number]) => beats.push(beat));
    desk.policies.failWith = new TransientError('busy');
    setTimeout(() => (desk.policies.failWith = null), 1_300); // a beat each second
    const input = desk.rollOutInput({
      rollouts: { shards: 1, timeout: '5s', concurrency: 20, attempts: 5 },
    });
    const result = await environment.run(() => desk.rollout.rollOut(input));
    expect(result).toMatchObject({ outcomes: { completed: 20 } });
    expect(result).toHaveProperty('drops', {});
    expect(beats.some(({ done, waiting }) => done === 0 && waiting >= 18)).toBe(true);
    expect(beats.at(-1)).toMatchObject({ done: 20, waiting: 0 });
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

describe('the heartbeat of a rollout batch', () => {
  /** Of a batch of as many segments as rollouts, the longest and the last. */
  async function beatsOf(
    rollouts: number,
  ): Promise<{ longest: number; last: unknown; desk: Desk }> {
    const desk = await openDesk({ segmentRollouts: 1 });
    const environment = activityEnvironment();
    let longest = 0;
    let last: unknown = null;
    environment.on('heartbeat', (details) => {
      longest = Math.max(longest, JSON.stringify(details).length);
      last = JSON.parse(JSON.stringify(details));
    });
    const selection = { split: 'train', order: 'shuffled', from: 0, count: rollouts } as const;
    await environment.run(() => desk.rollout.rollOut(desk.rollOutInput({ selection })));
    return { longest, last, desk };
  }

  it('does not grow with the number of segments', async () => {
    const { longest } = await beatsOf(20);
    expect((await beatsOf(400)).longest).toBeLessThan(longest + 5_000);
  });

  it('names them all: an attempt that follows the last beat has nothing left to do', async () => {
    const { last, desk } = await beatsOf(50);
    const before = desk.invocations.length;
    const selection = { split: 'train', order: 'shuffled', from: 0, count: 50 } as const;
    const environment = activityEnvironment({ attempt: 2, heartbeatDetails: last });
    const result: RollOutResult = await environment.run(() =>
      desk.rollout.rollOut(desk.rollOutInput({ selection })),
    );
    expect(desk.invocations.length).toBe(before);
    expect(result).toMatchObject({ rollouts: 50, outcomes: { completed: 50 } });
    expect(result.drops).toEqual({});
    const trajectories = await trajectoriesOf(desk.store, result.batch);
    expect(new Set(trajectories.map(({ id }) => id)).size).toBe(50);
  });

  it('whose manifest is gone from the store costs time, not rollouts', async () => {
    const { last, desk } = await beatsOf(50);
    const { earlier } = last as { earlier: { key: string } };
    await desk.store.delete(earlier.key);
    const selection = { split: 'train', order: 'shuffled', from: 0, count: 50 } as const;
    const environment = activityEnvironment({ attempt: 2, heartbeatDetails: last });
    const result: RollOutResult = await environment.run(() =>
      desk.rollout.rollOut(desk.rollOutInput({ selection })),
    );
    expect(result).toMatchObject({ rollouts: 50, outcomes: { completed: 50 } });
    expect(result.drops).toEqual({});
  });
});

describe('a rollout batch whose worker is told to stop', () => {
  const input = { repeats: 3, rollouts: { timeout: '5s', concurrency: 4, shards: 1, attempts: 3 } };

  it('keeps every rollout that was begun, and the next attempt commits the same trajectories', async () => {
    const whole = await openDesk();
    const unbroken = await rollOut(whole, input);

    const begun = new AbortController();
    const handOver = { begun: begun.signal, due: new AbortController().signal };
    const desk: Desk = await openDesk({
      handOver,
      runAgent: async (invocation) => {
        if (desk.invocations.length === 35) begun.abort(workerShutdown());
        return agent(invocation);
      },
    });
    let last: { committed: number; segments: unknown[] } | null = null;
    const environment = activityEnvironment();
    environment.on('heartbeat', (details: typeof last) => {
      last = details;
    });
    const stopped = environment.run(() => desk.rollout.rollOut(desk.rollOutInput(input)));
    await expect(stopped).rejects.toMatchObject({ type: 'WorkerShutdown', nonRetryable: false });
    const before = desk.invocations.length;
    expect(before).toBeLessThan(40);
    expect(last).toMatchObject({ committed: before, of: 60, segments: [expect.anything()] });

    const next = await openDesk();
    const heartbeatDetails: unknown = JSON.parse(JSON.stringify(last));
    const resumed: RollOutResult = await activityEnvironment({ attempt: 2, heartbeatDetails }).run(
      () => next.rolloutOn(desk.store).rollOut(desk.rollOutInput(input)),
    );
    expect(next.invocations).toHaveLength(60 - before);
    expect({ ...resumed, batch: null }).toEqual({ ...unbroken, batch: null });
    expect(timeless(await trajectoriesOf(desk.store, resumed.batch))).toEqual(
      timeless(await trajectoriesOf(whole.store, unbroken.batch)),
    );
  });

  it('writes no empty segment where nothing was begun', async () => {
    const begun = new AbortController();
    begun.abort(workerShutdown());
    const desk = await openDesk({
      handOver: { begun: begun.signal, due: new AbortController().signal },
    });
    await expect(rollOut(desk, input)).rejects.toMatchObject({ type: 'WorkerShutdown' });
    const keys: string[] = [];
    for await (const { key } of desk.store.list('v1/runs/')) keys.push(key);
    expect(keys).toEqual([]);
    expect(desk.invocations).toEqual([]);
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
