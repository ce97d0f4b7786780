import { setTimeout as delay } from 'node:timers/promises';
import { createBatchRecorder } from '../../../src/gateway/recording/batch-recorder';
import type { AgentExit, AgentInvocation, AgentRunner } from '../../../src/ports/agent-runner';
import { createBackPressure } from '../../../src/rollouts/back-pressure';
import {
  runBatch,
  type BatchOptions,
  type FinishedRollout,
  type PlannedRollout,
} from '../../../src/rollouts/run-batch';
import { recordedCall } from './recorded-session';

const planned = (n: number, member = 0): PlannedRollout => ({
  selected: {
    task: { id: `task-${n}`, cluster: `task-${n}`, split: 'train', input: { n } },
    pass: 0,
  },
  member,
});
const some = (count: number): PlannedRollout[] =>
  Array.from({ length: count }, (_, n) => planned(n));
const numberOf = ({ input }: AgentInvocation): number => (input as { n: number }).n;

type Behave = (invocation: AgentInvocation, signal: AbortSignal) => Promise<AgentExit>;

/** A batch over an agent that behaves as told; its API key is its session, and it makes one call before anything else. */
function start(
  rollouts: readonly PlannedRollout[],
  behave: Behave,
  options: Partial<BatchOptions> = {},
): AsyncGenerator<FinishedRollout> {
  const recorder = createBatchRecorder();
  const runner: AgentRunner = {
    run: async (invocation, { signal }) => {
      await recorder.record(recordedCall(invocation.apiKey, `query ${numberOf(invocation)}`));
      return behave(invocation, signal);
    },
    close: async () => undefined,
  };
  const place = { run: 'run-1', iteration: 3, agent: 'fake', model: 'ratchet/support' };
  return runBatch(
    place,
    rollouts,
    {
      ...{ runner, recorder, baseUrl: 'http://gateway/v1', mintKey: (session) => session },
      pressure: createBackPressure({ most: options.concurrency ?? 4, baseMs: 5 }),
    },
    {
      concurrency: 4,
      timeoutMs: 1_000,
      attempts: 3,
      ahead: 100,
      retryDelayMs: 1,
      signal: new AbortController().signal,
      onFinished: () => undefined,
      onWaiting: () => undefined,
      ...options,
    },
  );
}

/** All of it. */
async function run(...batch: Parameters<typeof start>): Promise<FinishedRollout[]> {
  const finished: FinishedRollout[] = [];
  for await (const one of start(...batch)) finished.push(one);
  return finished;
}

const returned: AgentExit = { kind: 'returned', result: null };
const unavailable: AgentExit = { kind: 'unavailable', detail: 'nobody there' };
const crashed: AgentExit = { kind: 'crashed', detail: 'it broke' };

describe('a batch of rollouts', () => {
  it('comes back in the order planned, whoever was done first', async () => {
    const finished = await run(some(6), async (invocation) => {
      await delay(5 * (6 - numberOf(invocation)));
      return { kind: 'returned', result: numberOf(invocation) };
    });
    expect(finished.map(({ trajectory }) => trajectory.task)).toEqual(
      some(6).map(({ selected }) => selected.task.id),
    );
    expect(finished.map(({ trajectory }) => trajectory.outcome)).toEqual(
      [0, 1, 2, 3, 4, 5].map((result) => ({ kind: 'completed', result })),
    );
  });

  it('runs as many agents at once as asked, and no more', async () => {
    let running = 0;
    let most = 0;
    const agent = async (): Promise<AgentExit> => {
      most = Math.max(most, ++running);
      await delay(2);
      running -= 1;
      return returned;
    };
    await run(some(20), agent, { concurrency: 3 });
    expect(most).toBe(3);
  });

  it('goes on around a slow agent, but no further ahead than asked', async () => {
    let begun = 0;
    let begunMeanwhile = 0;
    const agent: Behave = async (invocation) => {
      begun += 1;
      if (numberOf(invocation) === 0) {
        await delay(50);
        begunMeanwhile = begun;
      }
      return returned;
    };
    const finished = await run(some(30), agent, { concurrency: 3, ahead: 12 });
    expect(begunMeanwhile).toBe(12);
    expect(finished).toHaveLength(30);
  });

  it('counts every rollout as finished once', async () => {
    let count = 0;
    await run(some(7), async () => returned, { onFinished: () => (count += 1) });
    expect(count).toBe(7);
  });

  it('hands an agent what an unmodified one needs, and no label', async () => {
    const seen: AgentInvocation[] = [];
    await run([planned(5)], async (invocation) => {
      seen.push(invocation);
      return returned;
    });
    const { apiKey, idempotencyKey, ...rest } = seen[0] as AgentInvocation;
    expect(rest).toEqual({
      baseUrl: 'http://gateway/v1',
      model: 'ratchet/support',
      input: { n: 5 },
    });
    expect(apiKey).toBe(`${idempotencyKey}-1`);
  });

  it('tells members of one task apart', async () => {
    const [a, b] = await run([planned(0, 0), planned(0, 1)], async () => returned);
    expect(a?.trajectory.id).not.toBe(b?.trajectory.id);
    expect([a, b].map((one) => one?.trajectory.member)).toEqual([0, 1]);
    expect([a, b].map((one) => one?.trajectory.decisions)).toEqual([
      [expect.objectContaining({ sequence: 1 })],
      [expect.objectContaining({ sequence: 1 })],
    ]);
  });
});

describe('a rollout that infrastructure failed', () => {
  it('runs again in a fresh session, under the same idempotency key', async () => {
    const seen: AgentInvocation[] = [];
    const [finished] = await run([planned(0)], async (invocation) => {
      seen.push(invocation);
      return seen.length < 3 ? crashed : returned;
    });
    expect(new Set(seen.map(({ apiKey }) => apiKey)).size).toBe(3);
    expect(new Set(seen.map(({ idempotencyKey }) => idempotencyKey)).size).toBe(1);
    expect(finished?.trajectory).toMatchObject({ attempt: 3, outcome: { kind: 'completed' } });
    // Nothing of the sessions before: their decisions were made in another life.
    expect(finished?.trajectory.decisions).toHaveLength(1);
    expect(finished?.trajectory.id).toBe(seen[2]?.apiKey);
  });

  it('keeps its reason after the last attempt', async () => {
    let runs = 0;
    const agent = async (): Promise<AgentExit> => {
      runs += 1;
      return crashed;
    };
    const [finished] = await run([planned(0)], agent, { attempts: 2 });
    expect(runs).toBe(2);
    expect(finished?.trajectory).toMatchObject({
      attempt: 2,
      outcome: { kind: 'infraFailed', reason: 'agent-crashed', detail: 'it broke' },
    });
  });

  it('is not mistaken for a policy that ran into its deadline, which is not tried again', async () => {
    let runs = 0;
    const [finished] = await run([planned(0)], async () => {
      runs += 1;
      return { kind: 'timedOut', timeoutMs: 1_000 };
    });
    expect(runs).toBe(1);
    expect(finished?.trajectory.outcome).toEqual({ kind: 'policyFailed', reason: 'deadline' });
  });
});

describe('a batch whose caller stops early', () => {
  it('stops the agents that run, and leaves nothing running', async () => {
    let running = 0;
    let begun = 0;
    const agent: Behave = async (invocation, signal) => {
      begun += 1;
      if (numberOf(invocation) === 0) return returned;
      running += 1;
      await new Promise<void>((stop) => signal.addEventListener('abort', () => stop()));
      running -= 1;
      return { kind: 'cancelled' };
    };
    for await (const { trajectory } of start(some(40), agent)) {
      expect(trajectory.task).toBe('task-0');
      break; // as where a segment cannot be written
    }
    expect({ running, begun }).toEqual({ running: 0, begun: 5 });
  });
});

describe('a batch that is pushed back', () => {
  it('asks less and waits, so that an outage costs time and no rollout', async () => {
    const backAt = performance.now() + 100;
    let duringOutage = 0;
    let running = 0;
    const atOnce: number[] = [];
    const agent = async (): Promise<AgentExit> => {
      atOnce.push(++running);
      const isBack = performance.now() > backAt;
      await delay(1);
      running -= 1;
      if (!isBack) duringOutage += 1;
      return isBack ? returned : unavailable;
    };
    const finished = await run(some(40), agent, { concurrency: 8 });
    for (const { trajectory } of finished)
      expect(trajectory.outcome).toMatchObject({ kind: 'completed' });
    // 8, 4, 2, 1, 1: what 40 rollouts of 3 attempts each would burn at once is 120.
    expect(duringOutage).toBeLessThanOrEqual(16);
    expect(Math.max(...atOnce.slice(8, duringOutage))).toBeLessThanOrEqual(4);
  });

  it('says how many wait, and counts none of it as progress', async () => {
    let waiting = 0;
    let most = 0;
    let finished = 0;
    const backAt = performance.now() + 40;
    await run(some(4), async () => (performance.now() > backAt ? returned : unavailable), {
      onFinished: () => (finished += 1),
      onWaiting: (isWaiting) => {
        waiting += isWaiting ? 1 : -1;
        most = Math.max(most, waiting);
        if (performance.now() < backAt) expect(finished).toBe(0);
      },
    });
    expect({ most, waiting, finished }).toEqual({ most: 4, waiting: 0, finished: 4 });
  });

  it('gives a failed attempt a moment, twice as long each time, and holds up no other rollout', async () => {
    const at: number[] = [];
    const others: number[] = [];
    const agent: Behave = async (invocation) => {
      (numberOf(invocation) === 0 ? at : others).push(performance.now());
      return numberOf(invocation) === 0 && at.length < 3 ? crashed : returned;
    };
    await run(some(20), agent, { concurrency: 2, retryDelayMs: 40 });
    const [first = 0, second = 0, third = 0] = at;
    expect(second - first).toBeGreaterThanOrEqual(39);
    expect(third - second).toBeGreaterThanOrEqual(79);
    expect(Math.max(...others)).toBeLessThan(second);
  });

  it('stops waiting when it is cancelled, with the signal’s reason', async () => {
    const controller = new AbortController();
    setTimeout(() => controller.abort(new Error('the worker shuts down')), 20);
    const { signal } = controller;
    const startedAt = performance.now();
    for (const exit of [unavailable, crashed]) {
      const batch = run(some(8), async () => exit, { signal, retryDelayMs: 60_000, attempts: 10 });
      await expect(batch).rejects.toThrow('the worker shuts down');
    }
    expect(performance.now() - startedAt).toBeLessThan(5_000);
  });
});

describe('a batch that is cancelled', () => {
  it('throws the signal’s reason, and begins no further rollout', async () => {
    const controller = new AbortController();
    let begun = 0;
    const agent: Behave = async (_, signal) => {
      begun += 1;
      if (begun === 4) controller.abort(new Error('the worker shuts down'));
      return signal.aborted ? { kind: 'cancelled' } : returned;
    };
    const batch = run(some(50), agent, { concurrency: 2, signal: controller.signal });
    await expect(batch).rejects.toThrow('the worker shuts down');
    expect(begun).toBeLessThanOrEqual(5);
  });

  it('throws only when every agent has stopped', async () => {
    const controller = new AbortController();
    let running = 0;
    const agent: Behave = async (invocation, signal) => {
      running += 1;
      if (running === 4) controller.abort(new Error('stop'));
      if (!signal.aborted) {
        await new Promise<void>((stop) => signal.addEventListener('abort', () => stop()));
      }
      await delay(10 * numberOf(invocation)); // each needs its time to unwind
      running -= 1;
      return { kind: 'cancelled' };
    };
    await expect(run(some(4), agent, { signal: controller.signal })).rejects.toThrow('stop');
    expect(running).toBe(0);
  });

  it('leaves nothing running either where a runner fails', async () => {
    let running = 0;
    let begun = 0;
    const agent: Behave = async (invocation) => {
      begun += 1;
      if (numberOf(invocation) === 0) throw new Error('the runner is closed');
      running += 1;
      await delay(10);
      running -= 1;
      return returned;
    };
    await expect(run(some(40), agent)).rejects.toThrow('the runner is closed');
    expect({ running, begun }).toEqual({ running: 0, begun: 4 });
  });
});

describe('a batch that is handed over', () => {
  const signals = (): { begun: AbortController; due: AbortController } => ({
    begun: new AbortController(),
    due: new AbortController(),
  });
  const tasksOf = (finished: readonly FinishedRollout[]): (string | null)[] =>
    finished.map(({ trajectory }) => trajectory.task);

  it('finishes what was begun, begins nothing more, and comes back with that', async () => {
    const { begun, due } = signals();
    const agent: Behave = async (invocation) => {
      if (numberOf(invocation) === 5) begun.abort(new Error('told to stop'));
      await delay(5);
      return returned;
    };
    const finished = await run(some(50), agent, {
      handOver: { begun: begun.signal, due: due.signal },
    });
    expect(finished.length).toBeGreaterThan(5);
    expect(finished.length).toBeLessThan(12);
    expect(tasksOf(finished)).toEqual(
      some(finished.length).map(({ selected }) => selected.task.id),
    );
  });

  it('stops the agents that still run when it is due, and keeps what lies before the first of them', async () => {
    const { begun, due } = signals();
    let running = 0;
    const agent: Behave = async (invocation, signal) => {
      if (numberOf(invocation) !== 6) return returned;
      running += 1;
      begun.abort(new Error('told to stop'));
      setTimeout(() => due.abort(begun.signal.reason), 20);
      await new Promise<void>((stop) => signal.addEventListener('abort', () => stop()));
      running -= 1;
      return { kind: 'cancelled' };
    };
    const finished = await run(some(50), agent, {
      handOver: { begun: begun.signal, due: due.signal },
    });
    expect(tasksOf(finished)).toEqual(some(6).map(({ selected }) => selected.task.id));
    expect(running).toBe(0);
  });

  it('leaves a rollout that failed to whoever takes over, with all its attempts', async () => {
    const { begun, due } = signals();
    let runs = 0;
    const agent: Behave = async () => {
      runs += 1;
      begun.abort(new Error('told to stop'));
      return crashed;
    };
    const handOver = { begun: begun.signal, due: due.signal };
    expect(await run([planned(0)], agent, { handOver })).toEqual([]);
    expect(runs).toBe(1);
  });
});
