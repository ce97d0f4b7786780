import type { BatchRecorder, SessionRecording } from '../gateway/batch-recorder';
import type { AgentExit, AgentInvocation, AgentRunner } from '../ports/agent-runner';
import type { HandOver } from '../ports/hand-over';
import type { AttemptOutcome } from '../schemas/outcome';
import type { SegmentLine, Trajectory } from '../schemas/trajectory';
import { classifyAttempt } from '../scoring/classify';
import { sha256Hex } from '../storage/digest';
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
}

export interface BatchDeps {
  readonly runner: AgentRunner;
  readonly recorder: BatchRecorder;
  readonly baseUrl: string;
  /** A key for one session; its draws are keyed by the task, never by the session's name. */
  readonly mintKey: (session: string, rollout: PlannedRollout) => string;
}

export interface BatchOptions {
  readonly concurrency: number;
  readonly timeoutMs: number;
  /** Executions of a rollout that infrastructure failed, the first included. */
  readonly attempts: number;
  readonly signal: AbortSignal;
  /** Once begun, no rollout or attempt is begun; when it is due, agents that still run are stopped. */
  readonly handOver?: HandOver;
  /** Told of every rollout that finished, and how long it took with all its attempts. */
  readonly onFinished: (durationMs: number) => void;
}

export interface FinishedRollout {
  readonly trajectory: Trajectory;
  readonly recording: SessionRecording;
}

/** The same for every attempt of a rollout, so that tools which act on the world can act once. */
function rolloutName({ run, iteration }: BatchPlace, { selected, member }: PlannedRollout): string {
  return `rollout-${sha256Hex(JSON.stringify([run, iteration, selected.task.id, member])).slice(0, 32)}`;
}

/**
 * Runs rollouts, at most `concurrency` at once, and returns them in the order planned. A rollout that infrastructure
 * failed is tried again in a fresh session; what is left after the last attempt keeps its reason and is never scored.
 *
 * @returns all of them; where the batch was handed over, the leading ones that finished.
 * @throws the signal's reason when it is aborted; agents that still run are stopped first.
 */
export async function runBatch(
  place: BatchPlace,
  rollouts: readonly PlannedRollout[],
  deps: BatchDeps,
  options: BatchOptions,
): Promise<FinishedRollout[]> {
  const finished = new Array<FinishedRollout>(rollouts.length);
  const { signal, handOver } = options;
  const stop = handOver === undefined ? signal : AbortSignal.any([signal, handOver.due]);
  let next = 0;
  const lane = async (): Promise<void> => {
    try {
      for (let index = next++; index < rollouts.length; index = next++) {
        signal.throwIfAborted();
        if (handOver?.begun.aborted === true) return;
        const startedAt = performance.now();
        const rollout = rollouts[index] as PlannedRollout;
        const one = await runRollout(place, rollout, deps, { ...options, stop });
        if (one === null) return;
        finished[index] = one;
        options.onFinished(performance.now() - startedAt);
      }
    } catch (error) {
      next = rollouts.length; // the batch is lost: no lane begins another rollout
      throw error;
    }
  };
  // Every lane is waited for, also after one has failed: nothing of the batch is left running.
  const lanes = await Promise.allSettled(
    Array.from({ length: Math.min(options.concurrency, rollouts.length) }, lane),
  );
  const failed = lanes.find((one) => one.status === 'rejected');
  if (failed !== undefined) throw failed.reason;
  const firstLeft = finished.findIndex((one: FinishedRollout | undefined) => one === undefined);
  return firstLeft === -1 ? finished : finished.slice(0, firstLeft);
}

/** @returns null if it is left to whoever takes the batch over. */

async function runRollout(
  place: BatchPlace,
  rollout: PlannedRollout,
  deps: BatchDeps,
  options: BatchOptions & { readonly stop: AbortSignal },
): Promise<FinishedRollout | null> {
  const name = rolloutName(place, rollout);
  for (let attempt = 1; ; attempt += 1) {
    const session = `${name}-${attempt}`;
    deps.recorder.open(session);
    const invocation: AgentInvocation = {
      baseUrl: deps.baseUrl,
      apiKey: deps.mintKey(session, rollout),
      model: place.model,
      input: rollout.selected.task.input,
      idempotencyKey: name,
    };
    const exit: AgentExit = await deps.runner.run(invocation, {
      timeoutMs: options.timeoutMs,
      signal: options.stop,
    });
    const recording = deps.recorder.take(session);
    options.signal.throwIfAborted();
    if (exit.kind === 'cancelled' && options.stop.aborted) return null;
    const outcome: AttemptOutcome = classifyAttempt(exit, recording);
    if (outcome.kind === 'infraFailed' && attempt < options.attempts) {
      if (options.handOver?.begun.aborted === true) return null;
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

/** The lines of one segment: each message and toolset once, before the first trajectory that names it. */
export function* segmentLines(finished: readonly FinishedRollout[]): Generator<SegmentLine> {
  const written = new Set<string>();
  for (const { trajectory, recording } of finished) {
    for (const [id, tools] of recording.toolsets) {
      if (written.has(id)) continue;
      written.add(id);
      yield { type: 'toolset', id, tools: [...tools] };
    }
    for (const [id, message] of recording.messages) {
      if (written.has(id)) continue;
      written.add(id);
      yield { type: 'message', id, message };
    }
    yield { type: 'trajectory', trajectory };
  }
}
