import { setMaxListeners } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { InvalidInputError } from '../errors';
import type { BatchRecorder, SessionRecording } from '../gateway/recording/batch-recorder';
import type { AgentExit, AgentInvocation, AgentRunner } from '../ports/agent-runner';
import type { HandOver } from '../ports/hand-over';
import type { AttemptOutcome } from '../schemas/outcome';
import type { Trajectory } from '../schemas/trajectory';
import { classifyAttempt, isPushedBack } from '../scoring/classify';
import { sha256Hex } from '../storage/digest';
import type { BackPressure } from './back-pressure';
import type { SelectedTask } from './select-tasks';

/** One task attempted once per member; a group shares its task. */
export interface PlannedRollout {
  readonly selected: SelectedTask;
  /** Unique among the rollouts of this task in this iteration: it is part of the session's name and of its draws. */
  readonly member: number;
}

export interface BatchPlace {
  readonly run: string;
  readonly iteration: number;
  readonly agent: string;
  readonly model: string;
  /** Set where the batch is rolled out again: sessions get names of their own, tasks and draws stay the same. */
  readonly go?: number;
}

export interface BatchDeps {
  readonly runner: AgentRunner;
  readonly recorder: BatchRecorder;
  readonly baseUrl: string;
  /** A key for one session; its draws are keyed by the task, never by the session's name. */
  readonly mintKey: (session: string, rollout: PlannedRollout) => string;
  /** What the models' upstream and the agents' services take at the moment, as this batch has found. */
  readonly pressure: BackPressure;
}

export interface BatchOptions {
  readonly concurrency: number;
  readonly timeoutMs: number;
  /** Executions of a rollout that infrastructure failed, the first included. */
  readonly attempts: number;
  /** Rollouts that may be begun beyond those that were handed out. */
  readonly ahead: number;
  /** Before the second attempt of a rollout, where nobody pushed back; doubles with each. */
  readonly retryDelayMs: number;
  readonly signal: AbortSignal;
  /** Once begun, no rollout or attempt is begun; when it is due, agents that still run are stopped. */
  readonly handOver?: HandOver;
  /** Told of every rollout that finished, and how long it took with all its attempts; those before it may still run. */
  readonly onFinished: (durationMs: number) => void;
  /** Told whenever a rollout begins or ceases to wait: for its turn, for a service, for its next attempt. */
  readonly onWaiting: (isWaiting: boolean) => void;
}

/** The longest wait for a next attempt that nobody asked for. */
const MAX_RETRY_DELAY_MS = 30_000;

export interface FinishedRollout {
  readonly trajectory: Trajectory;
  readonly recording: SessionRecording;
}

/** The same for every attempt and go of a rollout, so that tools which act on the world can act once. */
export function rolloutName(
  { run, iteration }: BatchPlace,
  { selected, member }: PlannedRollout,
): string {
  return `rollout-${sha256Hex(JSON.stringify([run, iteration, selected.task.id, member])).slice(0, 32)}`;
}

/** Unique to one attempt of one go. */
export function sessionName({ go }: BatchPlace, rollout: string, attempt: number): string {
  return go === undefined ? `${rollout}-${attempt}` : `${rollout}-g${go}-${attempt}`;
}

/**
 * Runs rollouts, at most `concurrency` at once, and hands them out in the order planned. A rollout that infrastructure
 * failed is tried again in a fresh session; what is left after the last attempt keeps its reason and is never scored.
 * While the upstream or the agent's service pushes back, fewer run at once and each waits its turn, so that an outage costs
 * the batch time and not its attempts.
 *
 * Agents go on while the caller is busy with what it took, at most `ahead` rollouts further: what is held in memory does
 * not grow with the batch, and one slow agent does not make the others wait. A batch that is handed over ends early, with
 * the leading rollouts that finished.
 *
 * @throws the signal's reason when it is aborted. However the loop over it ends, agents that still run are stopped first.
 */
export async function* runBatch(
  place: BatchPlace,
  rollouts: readonly PlannedRollout[],
  deps: BatchDeps,
  options: BatchOptions,
): AsyncGenerator<FinishedRollout> {
  const over = new AbortController();
  const { handOver } = options;
  const signal = AbortSignal.any([options.signal, over.signal]);
  const stop = handOver === undefined ? signal : AbortSignal.any([signal, handOver.due]);
  const leave = handOver === undefined ? signal : AbortSignal.any([signal, handOver.begun]);
  setMaxListeners(0, stop, leave); // every agent that runs listens for its end
  const running = new Set<Promise<void>>();
  const finished = new Map<number, FinishedRollout>(); // by place in the order planned; not handed out yet
  let begun = 0;
  let taken = 0;
  let failure = null as { readonly reason: unknown } | null;
  let wake: () => void = () => undefined;

  const begin = async (index: number): Promise<void> => {
    try {
      signal.throwIfAborted();
      const startedAt = performance.now();
      const rollout = rollouts[index] as PlannedRollout;
      const one = await runRollout(place, rollout, deps, { ...options, signal, stop, leave });
      if (one === null) return;
      finished.set(index, one);
      options.onFinished(performance.now() - startedAt);
    } catch (reason) {
      failure ??= { reason };
      over.abort(reason); // the batch is lost: no rollout begins any more
    }
  };
  const beginMore = (): void => {
    if (handOver?.begun.aborted === true) return;
    const end = Math.min(rollouts.length, taken + options.ahead);
    while (begun < end && running.size < options.concurrency && !over.signal.aborted) {
      const one = begin(begun++).then(() => {
        running.delete(one);
        beginMore();
        wake();
      });
      running.add(one);
    }
  };

  try {
    while (taken < rollouts.length && failure === null) {
      beginMore();
      const next = finished.get(taken);
      if (next === undefined) {
        if (running.size === 0) break; // handed over
        await new Promise<void>((resolve) => (wake = resolve));
        continue;
      }
      finished.delete(taken);
      taken += 1;
      yield next;
    }
  } finally {
    over.abort(new InvalidInputError('nobody takes the rest of the batch'));
    await Promise.all(running); // nothing of the batch is left running
  }
  if (failure !== null) throw failure.reason;
}

interface AttemptOptions extends BatchOptions {
  /** Ends agents that run. */
  readonly stop: AbortSignal;
  /** Ends waiting for a turn or for the next attempt. */
  readonly leave: AbortSignal;
}

/** @returns null if it is left to whoever takes the batch over. */
async function runRollout(
  place: BatchPlace,
  rollout: PlannedRollout,
  deps: BatchDeps,
  options: AttemptOptions,
): Promise<FinishedRollout | null> {
  const name = rolloutName(place, rollout);
  for (let attempt = 1; ; attempt += 1) {
    const session = sessionName(place, name, attempt);
    const turn = await unlessHandedOver(options, () =>
      deps.pressure.enter(options.leave, options.onWaiting),
    );
    if (turn === null) return null;
    deps.recorder.open(session);
    const invocation: AgentInvocation = {
      baseUrl: deps.baseUrl,
      apiKey: deps.mintKey(session, rollout),
      model: place.model,
      input: rollout.selected.task.input,
      idempotencyKey: name,
    };
    let exit: AgentExit;
    try {
      exit = await deps.runner.run(invocation, {
        timeoutMs: options.timeoutMs,
        signal: options.stop,
        onWaiting: options.onWaiting,
      });
    } catch (error) {
      turn.leave();
      throw error;
    }
    const recording = deps.recorder.take(session);
    const outcome: AttemptOutcome = classifyAttempt(exit, recording);
    const pushedBack = isPushedBack(outcome, recording);
    if (pushedBack) turn.pushedBack();
    else turn.served();
    turn.leave();
    options.signal.throwIfAborted();
    if (exit.kind === 'cancelled' && options.stop.aborted) return null;
    if (outcome.kind === 'infraFailed' && attempt < options.attempts) {
      if (!pushedBack && (await waitForRetry(attempt, options)) === null) return null;
      continue;
    }
    return {
      recording,
      trajectory: {
        id: session,
        task: rollout.selected.task.id,
        agent: place.agent,
        attempt,
        member: rollout.member,
        outcome,
        decisions: [...recording.decisions],
      },
    };
  }
}

/** What ended one attempt often ends the next, too, unless it is given a moment. @returns null if the batch is handed over meanwhile. */
async function waitForRetry(attempt: number, options: AttemptOptions): Promise<true | null> {
  const { retryDelayMs, leave, onWaiting } = options;
  onWaiting(true);
  try {
    const waitMs = Math.min(retryDelayMs * 2 ** (attempt - 1), MAX_RETRY_DELAY_MS);
    return await unlessHandedOver(options, () => delay(waitMs, true, { signal: leave }));
  } finally {
    onWaiting(false);
  }
}

/** @throws the batch's own reason, if that is why the wait ended. */
async function unlessHandedOver<T>(
  { signal, leave }: AttemptOptions,
  wait: () => Promise<T>,
): Promise<T | null> {
  try {
    return await wait();
  } catch (error) {
    signal.throwIfAborted();
    if (leave.aborted) return null;
    throw error;
  }
}
