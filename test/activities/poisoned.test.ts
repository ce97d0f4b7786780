import { setTimeout as delay } from 'node:timers/promises';
import { TransientError } from '../../src/errors';
import type { AgentInvocation, ModuleAgent } from '../../src/ports/agent-runner';
import type { RollOutInput, RollOutResult } from '../../src/schemas/stages';
import { runPrefix } from '../../src/storage/keys';
import type { ObjectStore } from '../../src/storage/object-store';
import { createMemoryObjectStore } from '../fakes/memory-object-store';
import { mortalStore } from '../fakes/mortal-store';
import { activityEnvironment, agent, openDesk, trajectoriesOf } from './desk';

// Worker processes that die, in one process: a dead one's store does nothing any more, and nobody waits for its activity.
// test/crash/poisoned-task.test.ts does the same with real ones.

const TASKS = 12;
const queryOf = ({ input }: AgentInvocation): string => (input as { query: string }).query;

interface Life {
  /** What the activity came to; null: the process died. */
  readonly result: RollOutResult | null;
  readonly invocations: readonly AgentInvocation[];
  /** How many other agents ran when an agent began, by query. */
  readonly company: ReadonlyMap<string, number>;
  /** What the server was told last. */
  readonly heartbeat: unknown;
}

interface Installation {
  readonly store: ObjectStore;
  /** One life of a worker, with one attempt of each of the activities. `kills` says which agents end it. */
  readonly live: (
    attempt: number,
    kills: (invocation: AgentInvocation, begun: number) => boolean,
    options?: { readonly heartbeatDetails?: unknown; readonly shards?: number },
  ) => Promise<Life>;
}

function install(): Installation {
  const store = createMemoryObjectStore();
  return {
    store,
    async live(attempt, kills, { heartbeatDetails, shards = 1 } = {}) {
      const mine = mortalStore(store);
      let die: () => void = () => undefined;
      const death = new Promise<null>((resolve) => (die = () => resolve(null)));
      const company = new Map<string, number>();
      let running = 0;
      const runAgent: ModuleAgent = async (invocation) => {
        const begun = desk.invocations.length;
        company.set(queryOf(invocation), running);
        running += 1;
        try {
          await delay(3); // so that there is company
          if (mine.isDead()) return await new Promise(() => undefined);
          if (kills(invocation, begun)) {
            mine.die();
            die();
            return await new Promise(() => undefined);
          }
          return await agent(invocation);
        } finally {
          running -= 1;
        }
      };
      const desk = await openDesk({ store: mine, counts: { train: TASKS }, runAgent });
      let heartbeat: unknown;
      const environments = Array.from({ length: shards }, () =>
        activityEnvironment({ attempt, heartbeatDetails }),
      );
      environments[0]?.on('heartbeat', (details: unknown) => {
        if (!mine.isDead()) heartbeat = JSON.parse(JSON.stringify(details));
      });
      const batches = environments.map((environment, shard): Promise<RollOutResult> =>
        environment.run(() => desk.rollout.rollOut(inputOf(desk.rollOutInput(), shard, shards))),
      );
      const result = await Promise.race([death, Promise.all(batches).then(([first]) => first)]);
      if (result === null) for (const environment of environments) environment.cancel('CANCELLED');
      for (const one of batches) one.catch(() => undefined); // its process is dead: nobody hears it
      return { result: result ?? null, invocations: desk.invocations, company, heartbeat };
    },
  };
}

function inputOf(input: RollOutInput, shard: number, shards: number): RollOutInput {
  const count = TASKS / shards;
  return {
    ...input,
    ...{ shard, shards },
    selection: { split: 'train', order: 'shuffled', from: shard * count, count },
    rollouts: { ...input.rollouts, concurrency: 4 },
  };
}

/** Lives one after the other, as a supervisor starts them, until one of them finishes the batch. */
async function liveOn(
  { live }: Installation,
  kills: (invocation: AgentInvocation, begun: number, attempt: number) => boolean,
): Promise<{ readonly lives: Life[]; readonly result: RollOutResult }> {
  const lives: Life[] = [];
  for (let attempt = 1; attempt <= 10; attempt += 1) {
    const heartbeatDetails = lives.at(-1)?.heartbeat;
    const life = await live(attempt, (invocation, begun) => kills(invocation, begun, attempt), {
      heartbeatDetails,
    });
    lives.push(life);
    if (life.result !== null) return { lives, result: life.result };
  }
  throw new Error('the batch never ended');
}

async function marksIn(store: ObjectStore): Promise<string[]> {
  const keys: string[] = [];
  for await (const { key } of store.list(`${runPrefix('desk-1.abc', 2)}state/`)) keys.push(key);
  return keys;
}

describe('a rollout that ends its worker process whenever it runs', () => {
  const kills = (invocation: AgentInvocation): boolean => queryOf(invocation).endsWith(' 5');

  it('is given up as poisoned within the attempts of its activity, and nothing else is lost', async () => {
    const installation = install();
    const { lives, result } = await liveOn(installation, kills);
    expect(lives.length).toBeLessThanOrEqual(5); // maximumAttempts of the workflow’s proxies
    expect(result).toMatchObject({
      rollouts: TASKS,
      outcomes: { completed: TASKS - 1, infraFailed: 1 },
      drops: { poisoned: 1 },
    });
    const trajectories = await trajectoriesOf(installation.store, result.batch);
    const unharmed = trajectories.filter(({ task }) => task !== 'train-5');
    expect(trajectories.find(({ task }) => task === 'train-5')).toMatchObject({
      ...{ attempt: 1, decisions: [] },
      outcome: { kind: 'infraFailed', reason: 'poisoned' },
    });
    const other = install();
    const whole = (await other.live(1, () => false)).result as RollOutResult;
    const expected = (await trajectoriesOf(other.store, whole.batch)).filter(
      ({ task }) => task !== 'train-5',
    );
    const told = (all: typeof expected): unknown =>
      all.map(({ id, task, member, outcome }) => ({ id, task, member, outcome }));
    expect(told(unharmed)).toEqual(told(expected));
    await expect(marksIn(installation.store)).resolves.toEqual([]);
  });

  it('was alone in its process when that was decided', async () => {
    const { lives } = await liveOn(install(), kills);
    const poison = [...(lives.at(-2)?.company ?? [])].find(([query]) => query.endsWith(' 5'));
    expect(poison?.[1]).toBe(0);
    // And the life that finished did not try it again.
    const last = lives.at(-1)?.invocations.map(queryOf) ?? [];
    expect(last.filter((query) => query.endsWith(' 5'))).toEqual([]);
  });

  it('is handed the same idempotency key in each life, as every other rollout is', async () => {
    const { lives } = await liveOn(install(), kills);
    const keys = new Map<string, Set<string>>();
    for (const { invocations } of lives) {
      for (const invocation of invocations) {
        const query = queryOf(invocation);
        keys.set(query, (keys.get(query) ?? new Set()).add(invocation.idempotencyKey));
      }
    }
    expect(keys.size).toBe(TASKS);
    for (const seen of keys.values()) expect(seen.size).toBe(1);
    expect(new Set([...keys.values()].flatMap((seen) => [...seen])).size).toBe(TASKS);
  });

  it('is found beside another one', async () => {
    const { result } = await liveOn(install(), (invocation) => / (5|6)$/.test(queryOf(invocation)));
    expect(result).toMatchObject({
      outcomes: { completed: TASKS - 2 },
      drops: { poisoned: 2 },
    });
  });

  it('is remembered by an activity that follows one that was given up', async () => {
    const installation = install();
    for (const attempt of [1, 2, 3, 4]) await installation.live(attempt, kills);
    const { result } = await installation.live(1, kills); // a new activity: its first attempt, no details
    expect(result).toMatchObject({ drops: { poisoned: 1 } });
  });

  it('is tried again in a batch that is rolled out again: its cause may have been mended', async () => {
    const installation = install();
    await liveOn(installation, kills);
    const { result } = await installation.live(1, () => false);
    expect(result).toMatchObject({ outcomes: { completed: TASKS } });
    expect(result?.drops).toEqual({});
  });
});

describe('a worker process that dies of something else', () => {
  it('costs no rollout, whenever it dies', async () => {
    // In the first life, then in a careful one, then while a suspect runs alone.
    const { lives, result } = await liveOn(
      install(),
      (_, begun, attempt) => attempt < 4 && begun === [7, 6, 2][attempt - 1],
    );
    expect(lives).toHaveLength(4);
    expect(result).toMatchObject({ outcomes: { completed: TASKS } });
    expect(result.drops).toEqual({});
  });

  it('makes suspects of what was under way alone, also where another batch shares the process', async () => {
    const installation = install();
    const die = (_: AgentInvocation, begun: number): boolean => begun === 9;
    await installation.live(1, die, { shards: 2 });
    await installation.live(2, die, { shards: 2 });
    const { result, company } = await installation.live(3, () => false, { shards: 2 });
    expect(result).not.toBeNull();
    const alone = [...company.values()].filter((others) => others === 0).length;
    expect(alone).toBeGreaterThanOrEqual(8); // four under way in either batch
    expect(company.size).toBe(TASKS);
  });
});

describe('a batch that fails in order', () => {
  it('leaves nothing suspect behind', async () => {
    const store = createMemoryObjectStore();
    let puts = 0;
    const desk = await openDesk({
      store: {
        ...store,
        put: (key, body, options) => {
          if (!key.includes('/trajectories/')) return store.put(key, body, options);
          puts += 1;
          throw new TransientError('the store is away');
        },
      },
      counts: { train: TASKS },
    });
    const attempt = activityEnvironment({ attempt: 2 }).run(() =>
      desk.rollout.rollOut(inputOf(desk.rollOutInput(), 0, 1)),
    );
    await expect(attempt).rejects.toThrow('the store is away');
    expect(puts).toBe(1);
    await expect(marksIn(store)).resolves.toEqual([]);
  });
});
