import type { BatchRecorder, SessionRecording } from '../gateway/batch-recorder';
import type { AgentExit, AgentInvocation, AgentRunner } from '../ports/agent-runner';
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
  /** Set where the batch is rolled out again: sessions get names of their own, tasks and draws stay the same. */
  readonly go?: number;
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
  readonly onFinished: () => void;
}

export interface FinishedRollout {
  readonly trajectory: Trajectory;
  readonly recording: SessionRecording;
}

/** The same for every attempt and go of a rollout, so that tools which act on the world can act once. */
function rolloutName({ run, iteration }: BatchPlace, { selected, member }: PlannedRollout): string {
  return `rollout-${sha256Hex(JSON.stringify([run, iteration, selected.task.id, member])).slice(0, 32)}`;
}

/**
 * Runs rollouts, at most `concurrency` at once, and returns them in the order planned. A rollout that infrastructure
 * failed is tried again in a fresh session; what is left after the last attempt keeps its reason and is never scored.
 *
 * @throws the signal's reason when it is aborted; agents that still run are stopped first.
 */
export async function runBatch(
  place: BatchPlace,
  rollouts: readonly PlannedRollout[],
  deps: BatchDeps,
  options: BatchOptions,
): Promise<FinishedRollout[]> {
  const finished = new Array<FinishedRollout>(rollouts.length);
  let next = 0;
  const lane = async (): Promise<void> => {
    try {
      for (let index = next++; index < rollouts.length; index = next++) {
        options.signal.throwIfAborted();
        finished[index] = await runRollout(place, rollouts[index] as PlannedRollout, deps, options);
        options.onFinished();
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
  return finished;
}

async function runRollout(
  place: BatchPlace,
  rollout: PlannedRollout,
  deps: BatchDeps,
  options: BatchOptions,
): Promise<FinishedRollout> {
  const name = rolloutName(place, rollout);
  for (let attempt = 1; ; attempt += 1) {
    const session =
      place.go === undefined ? `${name}-${attempt}` : `${name}-g${place.go}-${attempt}`;
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
      signal: options.signal,
    });
    const recording = deps.recorder.take(session);
    options.signal.throwIfAborted();
    const outcome: AttemptOutcome = classifyAttempt(exit, recording);
    if (outcome.kind === 'infraFailed' && attempt < options.attempts) continue;
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
