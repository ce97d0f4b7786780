import { setTimeout as delay } from 'node:timers/promises';
import { defaultPayloadConverter } from '@temporalio/common';
import type { WorkflowHandle } from '@temporalio/client';
import { readLiveLines, mergeSessions } from '../../src/gateway/recording/live-segments';
import { liveSessionId } from '../../src/gateway/keys/session-id';
import type { RunOutcome, RunStatus } from '../../src/loop/run-state';
import { shuffle, stream } from '../../src/rl/counter-rng';
import { readSegments } from '../../src/rollouts/segment-reader';
import type { TrainInput } from '../../src/schemas/stages';
import {
  openStormInstallation,
  type StormInstallation,
  type StormStore,
} from '../helpers/storm/installation';
import { type AnsweredCall, startLiveTraffic } from '../helpers/storm/live-traffic';
import { stormOnLocalFiles, stormOnMinio } from '../helpers/storm/stores';
import type { Victim } from '../helpers/storm/supervised';

// `npm run test:crash` kills 60 times; `npm test` runs the short form.

const KILLS = Number(process.env.RATCHET_STORM_KILLS ?? 9);
const SEED = Number(process.env.RATCHET_STORM_SEED ?? 1);
const MINUTES = Math.max(6, KILLS); // far more than it takes
const TASKS = 800;
const OUTAGE_MS = 60_000;

const CONFIG = {
  dataset: 'small-desk',
  agent: 'small-desk',
  iterations: 2,
  tasksPerIteration: TASKS,
  rollouts: { shards: 2, concurrency: 8 },
  reward: { weights: { customer: 1 } },
  train: { algorithm: 'replay', epochs: 60, batch: 32, maxExamples: null },
  gate: { target: 'resolution' },
  report: false,
  approval: { approvers: ['ops-lead'], deadline: '1h' },
  watch: '1s',
};

/** Calls until it works: what is asked is being killed all the time. */
async function patiently<T>(call: () => Promise<T>): Promise<T> {
  for (const giveUpAt = Date.now() + 120_000; ;) {
    try {
      return await call();
    } catch (error) {
      if (Date.now() > giveUpAt) throw error;
      await delay(200);
    }
  }
}

interface FinishedRun {
  readonly checkpoints: readonly string[];
  readonly outcome: RunOutcome;
  /** Every (task, member) that was trained on, by iteration. */
  readonly rollouts: readonly string[][];
}

async function finishRun({ client, store }: StormInstallation, name: string): Promise<FinishedRun> {
  const handle = await patiently(() =>
    client.workflow.start('trainingRun', {
      taskQueue: 'ratchet',
      workflowId: name,
      args: [{ ...CONFIG, policy: name }],
      workflowIdConflictPolicy: 'USE_EXISTING',
    }),
  );
  for (;;) {
    const { phase, unattended } = await patiently(() => handle.query<RunStatus, []>('status'));
    // That nobody polls a queue is true for a moment after a kill, and passes by itself.
    if (phase.kind === 'needs-attention' && (unattended ?? []).length === 0)
      throw new Error(`${phase.step}: ${phase.reason}`);
    if (phase.kind === 'awaiting-approval') {
      const { candidate } = phase.request;
      await patiently(() => handle.signal('approve', { candidate, by: 'ops-lead' }));
    }
    if (phase.kind === 'done') break;
    await delay(300);
  }
  const outcome = (await patiently(() => handle.result())) as RunOutcome;
  const { points } = await patiently(() => handle.query<RunStatus, []>('status'));
  const rollouts: string[][] = [];
  for (const { batches } of await trainedOn(handle)) {
    const names: string[] = [];
    for await (const { trajectories } of readSegments(store.store, batches)) {
      names.push(...trajectories.map(({ task, member }) => `${task ?? ''} ${member}`));
    }
    rollouts.push(names);
  }
  return { outcome, rollouts, checkpoints: points.map(({ checkpoint }) => checkpoint) };
}

async function trainedOn(handle: WorkflowHandle): Promise<TrainInput[]> {
  const { events } = await patiently(() => handle.fetchHistory());
  return (events ?? []).flatMap(({ activityTaskScheduledEventAttributes: asked }) => {
    const payload = asked?.activityType?.name === 'train' ? asked.input?.payloads?.[0] : undefined;
    if (payload === undefined) return [];
    return [defaultPayloadConverter.fromPayload<TrainInput>(payload)];
  });
}

/** Kills at random until `kills` are spent; every victim once before any is killed again. */
async function storm(
  victims: readonly Victim[],
  kills: number,
  seed: number,
): Promise<Map<string, number>> {
  const random = stream({ seed, purpose: 'test.storm' });
  const counts = new Map<string, number>();
  let order: Victim[] = [];
  for (let kill = 0; kill < kills; kill++) {
    if (order.length === 0) order = shuffle(victims, random);
    const victim = order.pop() as Victim;
    await delay(500 + 3_000 * random.next());
    await victim.kill();
    counts.set(victim.name, (counts.get(victim.name) ?? 0) + 1);
  }
  return counts;
}

/** Runs trainings, one after the other, until the storm is over and the last of them has ended. */
async function weather(
  open: (home: string) => Promise<StormStore>,
  blow: (victims: readonly Victim[]) => Promise<Map<string, number>>,
): Promise<FinishedRun[]> {
  const installation = await openStormInstallation(open);
  try {
    let current = 'storm-0';
    const traffic = startLiveTraffic({
      ...installation.gateway,
      model: () => `ratchet/${current}`,
    });
    let isOver = false;
    const blowing = blow(installation.victims).finally(() => (isOver = true));
    blowing.catch(() => undefined); // awaited below, after the run that it hit
    const finished: FinishedRun[] = [];
    for (let n = 0; n === 0 || !isOver; n++) {
      // The storm's policies become known one by one; until the first champion is there, calls are refused and promise nothing.
      finished.push(await finishRun(installation, `storm-${n}`));
      current = `storm-${n}`;
    }
    const counts = await blowing;
    const answered = await traffic.stop();
    await installation.stopGateway();
    const killed = Array.from(counts, ([name, count]) => `${name} ${count}`).join(', ');
    process.stderr.write(
      `storm on ${installation.store.name}: killed ${killed || 'nobody'}; ${finished.length} runs; ` +
        `live calls: ${answered.length} answered, ${traffic.failures()} failed\n`,
    );
    await assertRecordedOnce(installation, answered);
    return finished;
  } finally {
    await installation.close();
  }
}

/** Every answer that a client has read is in the store, under its session, once. */
async function assertRecordedOnce(
  { store, gateway }: StormInstallation,
  answered: readonly AnsweredCall[],
): Promise<void> {
  const lines = [];
  for (const ago of [1, 0]) {
    const day = new Date(Date.now() - ago * 86_400_000).toISOString().slice(0, 10);
    lines.push(...(await readLiveLines(store.store, gateway.agent, day)));
  }
  const { trajectories } = mergeSessions(lines);
  const stored = trajectories.flatMap(({ id, decisions }) =>
    decisions.map((decision) => `${id} ${decision.id}`),
  );
  expect(new Set(stored).size).toBe(stored.length);
  const known = new Set(stored);
  const missing = answered
    .map(({ session, id }) => `${liveSessionId(gateway.agent, session)} ${id}`)
    .filter((name) => !known.has(name));
  expect(missing).toEqual([]);
  expect(answered.length).toBeGreaterThan(0);
}

function assertSameAs(unbroken: FinishedRun, finished: readonly FinishedRun[]): void {
  for (const run of finished) {
    expect(run.checkpoints).toEqual(unbroken.checkpoints);
    expect(run.outcome.kind).toBe(unbroken.outcome.kind);
    // No rollout is lost, and none is counted twice.
    for (const [iteration, names] of run.rollouts.entries()) {
      expect(names).toHaveLength(TASKS);
      expect([...names].sort()).toEqual([...(unbroken.rollouts[iteration] ?? [])].sort());
      expect(new Set(names).size).toBe(names.length);
    }
  }
}

let unbroken: FinishedRun;
beforeAll(async () => {
  const [run] = await weather(stormOnLocalFiles, async () => new Map());
  if (run === undefined) throw new Error('expected a run');
  unbroken = run;
}, 10 * 60_000);

describe.each([
  ['local files', stormOnLocalFiles, Math.floor(KILLS / 3)],
  ['a MinIO', stormOnMinio, Math.ceil((2 * KILLS) / 3)],
] as const)('on %s', (_, open, kills) => {
  test(
    `trainings through ${kills} kills end in the bytes of an unbroken one, and no session is lost`,
    async () => {
      assertSameAs(unbroken, await weather(open, (victims) => storm(victims, kills, SEED)));
    },
    MINUTES * 60_000,
  );
});

test(
  'a store that is down for a minute in the middle of everything costs time and nothing else',
  async () => {
    const outage = async (victims: readonly Victim[]): Promise<Map<string, number>> => {
      await delay(6_000); // past the creation of the policy: live calls and rollouts are under way
      await victims.find(({ name }) => name === 'minio')?.kill(OUTAGE_MS);
      return new Map([['minio', 1]]);
    };
    assertSameAs(unbroken, await weather(stormOnMinio, outage));
  },
  10 * 60_000,
);
