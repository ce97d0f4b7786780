import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import type { WorkflowHandle } from '@temporalio/client';
import type { RunStatus } from '../src/loop/run-state';
import type { RunConfigInput } from '../src/schemas/run-config';
import { startOwnProcess } from '../workers/demo/child-process';
import { openInstallation } from './support/installation';
import type { PlainAnswer, PlainOrder } from './support/plain-iterations';
import { type StageInterval, type StageTimes, stageTimes } from './support/stage-times';

const ITERATIONS = 2;
/** Even: what comes second is slower (the first one's writes reach the disk then), and each way has to be it as often. */
const ROUNDS = 4;
/** Seldom: each look is answered by the worker that is being measured. */
const POLL_MS = 2_000;

/** The support desk of `npm start`, with fewer tasks and epochs so that the bench ends in minutes. */
const CONFIG: RunConfigInput = {
  ...{ policy: 'support-desk', dataset: 'support-desk', agent: 'support-desk', seed: 1 },
  iterations: ITERATIONS + 1, // the run is paused before the last one: what follows the iterations is not measured
  tasksPerIteration: 3_000,
  reward: { weights: { customer: 1 } },
  train: { algorithm: 'replay', epochs: 2, batch: 128 },
  select: { maxTasks: 1_000 },
  gate: { target: 'resolution' },
  report: false,
  approval: { approvers: ['nobody'], deadline: '1h' },
};

interface Round {
  readonly checkpoint: string;
  readonly times: StageTimes;
}

/**
 * What durability costs: the same iterations as a Temporal workflow (a server with its database file, one worker process, as `npm start`
 * runs them) and as plain calls in one process. Rounds alternate; the first pair warms up and is not counted.
 *
 * @returns `overhead`, the share of the workflow's wall time that the plain process does not need (mean over the rounds), and by stage
 *   what it adds up from; `between` is scheduling: the time in which nothing was under way. Both ways must end in the same checkpoint.
 */
export async function run(): Promise<Record<string, unknown>> {
  const installation = await openInstallation();
  const { home, env, client } = installation;
  const worker = await startOwnProcess({
    ...{
      name: 'worker',
      args: ['worker'],
      env: { ...env, RATCHET_STORE: `file:${home}/temporal` },
    },
    logFile: join(home, 'logs', 'worker.log'),
  });
  const plain = fork(join(__dirname, 'support', 'plain-iterations.js'), {
    env: { ...env, RATCHET_STORE: `file:${home}/plain` },
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
  try {
    const pairs: { temporal: StageTimes; plain: StageTimes }[] = [];
    for (let round = 0; round <= ROUNDS; round++) {
      const asWorkflow = async (): Promise<Round> =>
        followRun(
          await client.workflow.start('trainingRun', {
            ...{ taskQueue: 'ratchet', workflowId: `overhead-${round}`, args: [CONFIG] },
          }),
        );
      const asPlainCalls = (): Promise<Round> => callPlain(plain, `overhead-${round}.plain`);
      // Which comes first alternates: whatever the machine does besides meets both alike.
      const first = round % 2 === 0 ? await asWorkflow() : await asPlainCalls();
      const second = round % 2 === 0 ? await asPlainCalls() : await asWorkflow();
      const [durable, bare] = round % 2 === 0 ? [first, second] : [second, first];
      if (durable.checkpoint !== bare.checkpoint) {
        throw new Error(
          `the two ways did not do the same work: ${durable.checkpoint} and ${bare.checkpoint}`,
        );
      }
      if (round > 0) pairs.push({ temporal: durable.times, plain: bare.times });
      process.stderr.write(
        `round ${round}: ${seconds(durable.times.totalMs)} as a workflow, ${seconds(bare.times.totalMs)} plain\n`,
      );
    }
    const share = (of: (times: StageTimes) => number): number =>
      mean(
        pairs.map(
          ({ temporal, plain: bare }) => (of(temporal) - of(bare)) / Math.max(temporal.totalMs, 1),
        ),
      );
    return {
      overhead: share(({ totalMs }) => totalMs),
      stages: {
        rollOut: share(({ stages }) => stages['rollOut'] ?? 0),
        score: share(({ stages }) => stages['score'] ?? 0),
        train: share(({ stages }) => stages['train'] ?? 0),
        between: share(({ betweenMs }) => betweenMs),
      },
      rounds: pairs.map(({ temporal, plain: bare }) => [temporal.totalMs, bare.totalMs]),
    };
  } finally {
    plain.kill();
    await worker.stop();
    await installation.close();
  }
}

/** Pauses the run once its last measured iteration has begun, and reads the times of its activities when it has paused. */
async function followRun(handle: WorkflowHandle): Promise<Round> {
  let isPausing = false;
  for (;;) {
    const { phase, points } = await handle.query<RunStatus, []>('status');
    if (phase.kind === 'needs-attention') throw new Error(phase.reason);
    if (phase.kind === 'rolling-out' && phase.iteration === ITERATIONS - 1 && !isPausing) {
      await handle.signal('pause');
      isPausing = true;
    }
    if (phase.kind === 'paused') {
      const { events } = await handle.fetchHistory();
      await handle.terminate('measured');
      const checkpoint = points.at(-1)?.checkpoint ?? '';
      return { checkpoint, times: stageTimes(activityIntervals(events ?? [])) };
    }
    await new Promise((wake) => setTimeout(wake, POLL_MS));
  }
}

type HistoryEvent = NonNullable<
  Awaited<ReturnType<WorkflowHandle['fetchHistory']>>['events']
>[number];

/** From scheduled to completed, by the server's clock; without what comes before the first iteration, which ends with the first `score`. */
function activityIntervals(events: readonly HistoryEvent[]): StageInterval[] {
  const scheduled = new Map<string, { stage: string; startMs: number }>();
  const intervals: StageInterval[] = [];
  for (const event of events) {
    const { eventTime, eventId } = event;
    const atMs = Number(eventTime?.seconds ?? 0) * 1_000 + (eventTime?.nanos ?? 0) / 1e6;
    const asked = event.activityTaskScheduledEventAttributes;
    if (asked)
      scheduled.set(String(eventId), { stage: asked.activityType?.name ?? '', startMs: atMs });
    const done = event.activityTaskCompletedEventAttributes;
    const began = done ? scheduled.get(String(done.scheduledEventId)) : undefined;
    if (began !== undefined) intervals.push({ ...began, endMs: atMs });
  }
  return intervals.slice(intervals.findIndex(({ stage }) => stage === 'score') + 1);
}

async function callPlain(child: ChildProcess, runKey: string): Promise<Round> {
  const order: PlainOrder = { config: CONFIG, iterations: ITERATIONS, run: runKey };
  const answered = once(child, 'message') as Promise<[PlainAnswer]>;
  const died = once(child, 'exit').then(([code]) => {
    throw new Error(`the plain process ended with ${String(code)}`);
  });
  child.send(order);
  const [{ checkpoint, intervals }] = await Promise.race([answered, died]);
  return { checkpoint, times: stageTimes(intervals) };
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

const seconds = (ms: number): string => `${(ms / 1_000).toFixed(1)} s`;
