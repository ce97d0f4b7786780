import { createTrainActivities } from '../../activities/train';
import { createThreadTrainer } from '../../src/adapters/trainer/thread-trainer';
import { createDatasetReader } from '../../src/datasets/dataset-reader';
import { decideDrops, sumCounts } from '../../src/loop/drops';
import type { PolicyServer } from '../../src/policies/policy-server';
import type { ModuleAgent } from '../../src/ports/agent-runner';
import type { Project } from '../../src/project';
import { BatchManifest } from '../../src/rollouts/batch-manifest';
import { ChoiceConfig } from '../../src/schemas/choice-config';
import type { Digest } from '../../src/schemas/ids';
import type { ObjectRef } from '../../src/schemas/object-ref';
import { TrainInput, type ScoreResult, type TrainResult } from '../../src/schemas/stages';
import { CreateConfig, TrainConfig } from '../../src/schemas/train-config';
import { SegmentLine } from '../../src/schemas/trajectory';
import type { Scorer } from '../../src/scoring/scorer';
import { sha256Hex } from '../../src/storage/digest';
import { readJson, readJsonLines, writeJsonLines } from '../../src/storage/json-objects';
import { runSegmentKey } from '../../src/storage/keys';
import { readRef } from '../../src/storage/object-ref';
import { agent, ARMS, openDesk, resolved, runActivity, source, type Desk } from './desk';

// Infrastructure faults do not teach: rolled out, scored and trained by the real activities and the real trainer, over faults
// that are drawn by a seed. What is compared are digests: hashes of every byte.

const TASKS = 60;
const REPEATS = 2;
const SHARDS = 2;
const RUN = 'desk-1.abc';

const config = ChoiceConfig.parse({
  arms: ARMS.map((name) => ({ kind: 'tool', name, tool: name })),
  features: { buckets: 1024 },
  network: { embedding: 8, hidden: 8 },
});
const project: Project = {
  agents: {},
  scorers: [],
  datasets: { desk: async () => source({ train: TASKS }) },
  policies: {
    support: {
      config,
      createFrom: { dataset: 'desk' },
      create: CreateConfig.parse({ batch: 4, epochs: 2 }),
    },
  },
};

/** In [0, 1), the same for the same words: what is struck does not depend on who runs when. */
const drawOf = (...words: readonly (string | number)[]): number =>
  Number.parseInt(sha256Hex(JSON.stringify(words)).slice(0, 8), 16) / 2 ** 32;

/** What no upstream answers. */
const BREAK = 'break on ';

interface Faults {
  readonly runAgent: ModuleAgent;
  readonly serve: (policies: PolicyServer) => PolicyServer;
  readonly scorers: readonly Scorer[];
  /** The tasks of which a member was lost for good, by iteration. */
  readonly struck: Set<string>[];
  /** How many rollouts were lost for good. */
  lost: number;
}

/**
 * About 30 % of all rollouts are lost for good, each in one of eight ways. Others fail once, of their agent and of their
 * upstream, and so are fine in the last of three attempts.
 */
function injectFaults(seed: number): Faults {
  const seen = new Map<string, number>();
  const nth = (key: string): number => {
    seen.set(key, (seen.get(key) ?? 0) + 1);
    return seen.get(key) as number;
  };
  const lose = (query: string): void => {
    faults.struck.at(-1)?.add(query.replace('query ', '').replace(' ', '-'));
    faults.lost += 1;
  };
  const never = (signal: AbortSignal): Promise<never> =>
    new Promise((_, reject) => {
      signal.addEventListener('abort', () => reject(new Error('stopped')));
    });

  const faults: Faults = {
    struck: [],
    lost: 0,
    runAgent: async (invocation) => {
      const { query } = invocation.input as { query: string };
      const draw = drawOf(seed, 'agent', invocation.idempotencyKey);
      const isFirst = nth(invocation.idempotencyKey) === 1;
      const fail = (below: number): boolean => {
        if (draw >= below) return false;
        if (isFirst) lose(query);
        return true;
      };
      if (fail(0.05)) throw new Error('out of memory');
      if (fail(0.06)) return never(invocation.signal); // without one call
      if (fail(0.11)) {
        await agent(invocation);
        throw new Error('out of memory, after its call');
      }
      if (fail(0.13)) {
        const result = await agent(invocation);
        const next = { ...invocation, input: { query: `${BREAK}${query}` } };
        await agent(next).catch(() => undefined); // its last call fails, and it returns all the same
        return result;
      }
      if (draw > 0.85 && isFirst) throw new Error('out of memory, this time');
      try {
        return await agent(invocation);
      } catch (error) {
        if (drawOf(seed, 'swallows', invocation.idempotencyKey) < 0.5) throw error;
        return { tool: null }; // a wrong answer, made of the failure
      }
    },
    serve: (policies) => ({
      ...policies,
      serve: async (checkpoint) => {
        const served = await policies.serve(checkpoint);
        return {
          ...served,
          answer: async (request, sampling, uniform) => {
            const query = request.messages[0]?.content as string;
            if (query.startsWith(BREAK)) throw new Error('the upstream broke');
            const draw = drawOf(seed, 'upstream', uniform); // of one rollout, in all its attempts
            const isFirst = nth(`${uniform}`) === 1;
            if (draw < 0.08) {
              if (isFirst) lose(query);
              throw new Error('the upstream broke');
            }
            if (draw < 0.09) {
              if (isFirst) lose(query);
              return new Promise(() => undefined); // and no answer, ever
            }
            if (draw > 0.85 && isFirst) throw new Error('the upstream broke, this time');
            return served.answer(request, sampling, uniform);
          },
        };
      },
    }),
    scorers: [
      {
        ...resolved,
        score: (input) => {
          const { id } = input.trajectory;
          const draw = drawOf(seed, 'scorer', id.replace(/-\d+$/, '')); // whichever attempt it was
          const isFirst = nth(id) === 1;
          if (draw < 0.08) {
            if (isFirst) lose((input.task.input as { query: string }).query);
            throw new Error('the judge is out');
          }
          if (draw > 0.85 && isFirst) throw new Error('the judge is out, this time');
          return input.result === null ? 0 : resolved.score(input); // as a failure of the policy is scored
        },
      },
    ],
  };
  return faults;
}

interface Iteration {
  readonly batches: ObjectRef[];
  readonly rollouts: number;
  readonly scored: ScoreResult;
  readonly drops: Record<string, number>;
}

async function rollOutAndScore(
  desk: Desk,
  checkpoint: Digest,
  iteration: number,
  leaveOut: ReadonlySet<string> = new Set(),
): Promise<Iteration> {
  const results = await Promise.all(
    Array.from({ length: SHARDS }, (_, shard) =>
      runActivity(() =>
        desk.rollout.rollOut(
          desk.rollOutInput({
            ...{ run: RUN, iteration, checkpoint, shard, shards: SHARDS, repeats: REPEATS },
            selection: {
              ...{ split: 'train', order: 'shuffled' },
              ...{ from: (shard * TASKS) / SHARDS, count: TASKS / SHARDS },
            },
            rollouts: { shards: SHARDS, concurrency: 16, timeout: '3s', attempts: 3 },
          }),
        ),
      ),
    ),
  );
  const batches = await Promise.all(results.map(({ batch }) => without(desk, batch, leaveOut)));
  const scored = await runActivity(() =>
    desk.score.score({
      ...{ run: RUN, iteration, dataset: desk.dataset, datasetName: 'desk' },
      ...{ batches, weights: { resolved: 1 } },
    }),
  );
  return {
    ...{ batches, scored, drops: sumCounts([...results.map(({ drops }) => drops), scored.drops]) },
    rollouts: results.reduce((sum, { rollouts }) => sum + rollouts, 0),
  };
}

/** The same batch, had those tasks never been in it. */
async function without(
  { store }: Desk,
  batch: ObjectRef,
  tasks: ReadonlySet<string>,
): Promise<ObjectRef> {
  const manifest = await readJson(store, batch, BatchManifest);
  const segments = await Promise.all(
    manifest.segments.map(async (segment) => {
      const lines = await readJsonLines(store, segment, SegmentLine);
      const kept = lines.filter(
        (line) => line.type !== 'trajectory' || !tasks.has(line.trajectory.task ?? ''),
      );
      return writeJsonLines(store, segment.key.replace(/\.jsonl$/, '-kept.jsonl'), kept);
    }),
  );
  const key = runSegmentKey(RUN, 9, 'trajectories', sha256Hex(batch.key));
  return writeJsonLines(store, key, [{ ...manifest, segments }]);
}

const algorithms = {
  replay: TrainConfig.parse({
    ...{ algorithm: 'replay', batch: 16, epochs: 2 },
    policyGradient: { weight: 0.5 },
  }),
  reinforce: TrainConfig.parse({ algorithm: 'reinforce', batch: 16, epochs: 2 }),
};
type Algorithm = keyof typeof algorithms;
const NAMES = Object.keys(algorithms) as Algorithm[];

interface Trained {
  readonly iterations: Iteration[];
  readonly results: Record<Algorithm, TrainResult[]>;
  readonly replays: Record<Algorithm, string[]>;
}

/** Two iterations by each algorithm, the second from the checkpoint and with the replay buffer of the first. */
async function train(
  desk: Desk,
  before: (iteration: number) => ReadonlySet<string> | undefined,
): Promise<Trained> {
  const trainer = createThreadTrainer({ intraOpThreads: 1 });
  const datasets = createDatasetReader(desk.store);
  const deps = { store: desk.store, datasets, project, trainer, stateEvery: 10_000 };
  const activities = createTrainActivities(deps);
  const order = { run: RUN, policy: 'support', seed: 1 };
  const { checkpoint } = await runActivity(() => activities.createPolicy(order));
  const trained: Trained = {
    iterations: [],
    results: { replay: [], reinforce: [] },
    replays: { replay: [], reinforce: [] },
  };
  for (let iteration = 0; iteration < 2; iteration += 1) {
    const behavior = trained.results.replay.at(-1)?.checkpoint ?? checkpoint;
    const done = await rollOutAndScore(desk, behavior, iteration, before(iteration));
    trained.iterations.push(done);
    for (const name of NAMES) {
      const last = trained.results[name].at(-1);
      const input = TrainInput.parse({
        ...{ run: RUN, iteration, policy: 'support', dataset: desk.dataset, seed: 7 },
        ...{ batches: done.batches, rewards: done.scored.rewards, weights: { resolved: 1 } },
        ...{ parent: last?.checkpoint ?? checkpoint, replay: last?.replay ?? null },
        train: algorithms[name],
      });
      const result = await runActivity(() => activities.train(input));
      trained.results[name].push(result);
      const bytes = await readRef(desk.store, result.replay);
      trained.replays[name].push(Buffer.from(bytes).toString());
    }
  }
  return trained;
}

describe('an update 30 % of whose rollouts infrastructure took', () => {
  let faults: Faults;
  let broken: Trained;
  let clean: Trained;

  beforeAll(async () => {
    faults = injectFaults(11);
    const counts = { train: TASKS };
    broken = await train(await openDesk({ ...faults, counts }), () => {
      faults.struck.push(new Set());
      return undefined;
    });
    clean = await train(await openDesk({ counts }), (iteration) => faults.struck[iteration]);
  }, 180_000);

  it.each(NAMES)(
    'is to the bit what it were, had the groups that lost a member never been there: %s',
    (name) => {
      // Digests of checkpoints and of replay buffers, and every metric.
      expect(broken.results[name]).toEqual(clean.results[name]);
      expect(broken.replays[name]).toEqual(clean.replays[name]);
    },
  );

  it.each(NAMES)('learns something from what is left, and from nothing else: %s', (name) => {
    const [first, second] = broken.results[name];
    expect(first?.examples).toBeGreaterThan(0);
    expect(second?.examples).toBeGreaterThan(0);
    expect(first?.checkpoint).not.toBe(second?.checkpoint);
    const [replay = '', later = ''] = broken.replays[name];
    expect(later.length).toBeGreaterThan(replay.length);
    for (const task of faults.struck[0] ?? [])
      expect(replay).not.toContain(`"query ${task.replace('-', ' ')}"`);
    expect(replay.match(/"query train /g)).toHaveLength(TASKS - (faults.struck[0]?.size ?? 0));
  });

  it('counts the lost, each by its reason', () => {
    const drops = sumCounts(broken.iterations.map((one) => one.drops));
    const sum = Object.values(drops).reduce((a, b) => a + b, 0);
    expect(sum).toBe(faults.lost);
    expect(sum / (2 * TASKS * REPEATS)).toBeGreaterThan(0.25);
    expect(sum / (2 * TASKS * REPEATS)).toBeLessThan(0.35);
    expect(Object.keys(drops).sort()).toEqual([
      ...['agent-crashed', 'no-decision', 'scorer-failed', 'upstream-error', 'upstream-timeout'],
    ]);
    for (const { drops: none } of clean.iterations) expect(none).toEqual({});
  });

  it('is not made by a run that allows 5 %: it stops before, and names the reasons', () => {
    for (const { rollouts, drops } of broken.iterations) {
      const verdict = decideDrops({ rollouts, drops }, 0.05);
      if (verdict.kind !== 'stop') throw new Error('it went on');
      for (const [reason, count] of Object.entries(drops))
        expect(verdict.reason).toContain(`${reason} ${count}`);
    }
  });
});
