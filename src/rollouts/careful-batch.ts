import type { AgentRunner } from '../ports/agent-runner';
import { classifyPoisoned } from '../scoring/classify';
import type { FlightLog } from './flight-log';
import {
  rolloutName,
  runBatch,
  sessionName,
  type BatchDeps,
  type BatchOptions,
  type BatchPlace,
  type FinishedRollout,
  type PlannedRollout,
} from './run-batch';
import type { Solitude } from './solitude';

/** Runs what a batch runs beside the rest of the process, unless something there has to be alone. */
export function withSolitude(runner: AgentRunner, solitude: Solitude): AgentRunner {
  return {
    run: (invocation, options) =>
      solitude.together(options.signal, () => runner.run(invocation, options)),
    close: () => runner.close(),
  };
}

/**
 * Runs rollouts as `runBatch` does, after an execution of theirs that ended without a word: something in it may have ended
 * the process, and would again.
 *
 * - What was under way when a process died is suspect: it runs first, each rollout alone in the whole process. One that
 *   ends the process, alone, too often is given up as poisoned, and counts as a drop.
 * - The rest runs as always, but what is under way is in the store before it begins, so that the next death has suspects.
 *
 * Nothing is suspect after the first death, since nobody keeps a log of what goes well: it would cost each rollout a write.
 *
 * @param runner of `deps` without solitude: both kinds of running are arranged here.
 */
export async function* runCarefully(
  flights: FlightLog,
  solitude: Solitude,
  place: BatchPlace,
  rollouts: readonly PlannedRollout[],
  deps: BatchDeps,
  options: BatchOptions,
): AsyncGenerator<FinishedRollout> {
  const { suspects, poisoned } = flights.casualties;
  const isSuspect = new Set(suspects);
  /** By place in the order planned; not handed out yet. */
  const finished = new Map<number, FinishedRollout>();
  const rest: number[] = [];
  const positions = new Map<string, number>();
  rollouts.forEach((rollout, position) => {
    const name = rolloutName(place, rollout);
    const deaths = poisoned.get(name);
    if (deaths !== undefined) {
      finished.set(position, giveUp(place, rollout, name, deaths));
      options.onFinished(0);
    } else if (isSuspect.has(name)) positions.set(name, position);
    else rest.push(position);
  });

  const lonely: AgentRunner = {
    run: (invocation, runOptions) =>
      solitude.alone(runOptions.signal, async () => {
        await flights.enterAlone(invocation.idempotencyKey);
        try {
          return await deps.runner.run(invocation, runOptions);
        } finally {
          await flights.rest(); // before anything else begins: what comes next is not its doing
        }
      }),
    close: async () => undefined,
  };
  for (const name of suspects) {
    const position = positions.get(name);
    if (position === undefined) continue; // of a part of the batch that is committed
    const alone = [rollouts[position] as PlannedRollout];
    for await (const one of runBatch(place, alone, { ...deps, runner: lonely }, options))
      finished.set(position, one);
  }

  const watched: AgentRunner = {
    run: (invocation, runOptions) =>
      solitude.together(runOptions.signal, async () => {
        const name = invocation.idempotencyKey;
        await flights.enter(name);
        try {
          return await deps.runner.run(invocation, runOptions);
        } finally {
          flights.leave(name);
        }
      }),
    close: async () => undefined,
  };
  const others = runBatch(
    place,
    rest.map((position) => rollouts[position] as PlannedRollout),
    { ...deps, runner: watched },
    options,
  );
  try {
    for (let position = 0; position < rollouts.length; position++) {
      let next = finished.get(position);
      if (next === undefined) {
        if (isSuspect.has(rolloutName(place, rollouts[position] as PlannedRollout))) return; // left by the hand-over
        const taken = await others.next();
        if (taken.done === true) return; // handed over
        next = taken.value;
      }
      finished.delete(position);
      yield next;
    }
    await flights.rest();
  } finally {
    await others.return(undefined); // however the loop over this ends, what still runs is stopped
  }
}

/** A rollout that is not run again. Its session was never opened by this execution: nothing is recorded. */
function giveUp(
  place: BatchPlace,
  { selected, member }: PlannedRollout,
  name: string,
  deaths: number,
): FinishedRollout {
  return {
    recording: {
      ...{ decisions: [], failures: [], lateFailures: 0, pendingCalls: 0 },
      ...{ messages: new Map(), toolsets: new Map() },
    },
    trajectory: {
      ...{ id: sessionName(place, name, 1), task: selected.task.id, agent: place.agent },
      ...{ attempt: 1, member },
      outcome: classifyPoisoned(deaths),
      decisions: [],
    },
  };
}
