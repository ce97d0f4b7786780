import type { Worker } from 'node:worker_threads';
import { createThreadRuntime } from '../../src/adapters/ort/thread-runtime';
import { createThreadTrainer, spawnThread } from '../../src/adapters/trainer/thread-trainer';
import { InvalidInputError, NotFoundError, NumericalError } from '../../src/errors';
import { choicePolicy } from '../../src/policies/choice/policy';
import { probabilitiesOf } from '../../src/policies/choice/probabilities';
import { createPolicyServer } from '../../src/policies/choice/policy-server';
import type {
  CheckpointFiles,
  Feedback,
  TrainedPolicy,
  TrainingJob,
  TrainingOptions,
  TrainJob,
} from '../../src/policies/policy-kind';
import type { ServedPolicy } from '../../src/policies/policy-server';
import type { SampledArm } from '../../src/schemas/decision';
import type { TensorRuntime } from '../../src/ports/tensor-runtime';
import { stream } from '../../src/rl/counter-rng';
import type { ChatRequest } from '../../src/schemas/chat';
import { ChoiceConfig } from '../../src/schemas/choice-config';
import type { Digest } from '../../src/schemas/ids';
import type { Message, Tool } from '../../src/schemas/message';
import { CreateConfig, TrainConfig } from '../../src/schemas/train-config';
import { writeCheckpoint } from '../../src/storage/checkpoints';
import { digestOf } from '../../src/storage/digest';
import type { ObjectStore } from '../../src/storage/object-store';
import { readSafetensors, writeSafetensors } from '../../src/storage/safetensors';
import { createMemoryObjectStore } from '../fakes/memory-object-store';
import { ownAnswer } from '../helpers/own-answer';

// A small text task: each arm has words of its own, some of which no demonstration shows, among words that mean nothing.
const WORDS: Record<string, readonly string[]> = {
  card: ['card', 'credit', 'visa', 'plastic', 'contactless', 'pin'],
  travel: ['flight', 'hotel', 'luggage', 'visit', 'airport', 'passport'],
  cook: ['recipe', 'oven', 'calories', 'ingredient', 'supper', 'flour'],
  escalate: ['lawyer', 'angry', 'complaint', 'manager', 'sue', 'nonsense'],
};
const FILLER = ['please', 'the', 'my', 'can', 'you', 'about', 'need', 'what', 'is', 'today'];
const ARMS = Object.keys(WORDS);
const DATASET = digestOf('a dataset');

interface Query {
  readonly text: string;
  readonly right: string;
}

function makeQueries(count: number, purpose: string, known = 6): Query[] {
  const random = stream({ seed: 7, purpose });
  const pick = (from: readonly string[], below = from.length): string =>
    from[random.below(below)] as string;
  return Array.from({ length: count }, (_, i) => {
    const right = ARMS[i % ARMS.length] as string;
    const words = [
      pick(FILLER),
      pick(FILLER),
      pick(WORDS[right] ?? [], known),
      pick(FILLER),
      pick(WORDS[right] ?? [], known),
    ];
    return { text: words.join(' '), right };
  });
}

const config = ChoiceConfig.parse({
  arms: ARMS.map((name) => ({ kind: 'tool', name, tool: `tool_${name}` })),
  features: { buckets: 2048 },
  network: { embedding: 16, hidden: 16 },
});
const tools: Tool[] = ARMS.map((name) => ({
  type: 'function',
  function: { name: `tool_${name}` },
}));
const request = (text: string, rest: Partial<ChatRequest> = {}): ChatRequest => ({
  model: 'ratchet/test',
  messages: [{ role: 'user', content: text }],
  tools,
  ...rest,
});

const demonstrations = makeQueries(24, 'demonstrations', 2).map(({ text, right }) => ({
  text,
  arm: right,
}));
const live = makeQueries(160, 'live');
const heldOut = makeQueries(200, 'held-out');

const createJob: TrainingJob = {
  type: 'create',
  config,
  demonstrations,
  create: CreateConfig.parse({ batch: 8, epochs: 12 }),
  seed: 3,
  dataset: DATASET,
};

let runtime: TensorRuntime;
let store: ObjectStore;
let base: TrainedPolicy;
let baseDigest: Digest;

beforeAll(async () => {
  runtime = await createThreadRuntime({ threads: 1 });
  store = createMemoryObjectStore();
  base = await choicePolicy.run(createJob, runtime);
  baseDigest = await commit(base.files);
});
afterAll(() => runtime.close());

const commit = (files: CheckpointFiles): Promise<Digest> =>
  writeCheckpoint(store, { files, metadata: {} });

async function serve<T>(
  checkpoint: Digest,
  use: (policy: ServedPolicy<SampledArm>) => Promise<T>,
): Promise<T> {
  const server = createPolicyServer({ store, runtime });
  try {
    return await use(await server.serve(checkpoint));
  } finally {
    await server.close();
  }
}

/** Answers every query once, sampled, and rewards it as a customer would: 1 if resolved, else 0. */
function collect(
  checkpoint: Digest,
  queries: readonly Query[],
  iteration: number,
): Promise<Feedback[]> {
  return serve(checkpoint, (policy) =>
    Promise.all(
      queries.map(async ({ text, right }, i): Promise<Feedback> => {
        const uniform = stream({ seed: 11, purpose: 'test.act', iteration, member: i }).next();
        const { sampled } = await policy.answer(request(text), { temperature: 1 }, uniform);
        if (sampled === null) throw new Error('expected a decision');
        const { arm, propensity } = sampled;
        return { text, available: ARMS, arm, propensity, reward: arm === right ? 1 : 0 };
      }),
    ),
  );
}

function accuracy(checkpoint: Digest): Promise<number> {
  return serve(checkpoint, async (policy) => {
    const right = await Promise.all(
      heldOut.map(async ({ text, right }) => {
        const { sampled } = await policy.answer(request(text), { temperature: 0 }, 0);
        return sampled?.arm === right ? 1 : 0;
      }),
    );
    return right.reduce((sum: number, x) => sum + x, 0) / right.length;
  });
}

const replayConfig = TrainConfig.parse({ algorithm: 'replay', batch: 16, epochs: 4 });

async function trainJob(rest: Partial<TrainJob> = {}): Promise<TrainJob> {
  return {
    type: 'train',
    parent: { digest: baseDigest, files: base.files },
    feedback: await collect(baseDigest, live, 1),
    replay: base.replay,
    train: replayConfig,
    seed: 3,
    iteration: 1,
    dataset: DATASET,
    ...rest,
  };
}

async function learn(train: TrainConfig, iterations: number): Promise<number[]> {
  const curve = [await accuracy(baseDigest)];
  let current = base;
  for (let iteration = 1; iteration <= iterations; iteration++) {
    const digest = await commit(current.files);
    const job = await trainJob({
      parent: { digest, files: current.files },
      feedback: await collect(digest, live, iteration),
      replay: current.replay,
      train,
      iteration,
    });
    current = await choicePolicy.run(job, runtime);
    curve.push(await accuracy(await commit(current.files)));
  }
  return curve;
}

describe('creating a choice policy', () => {
  it('gives the same digest for the same job, and another for another seed', async () => {
    const again = await choicePolicy.run(createJob, runtime);
    expect(await commit(again.files)).toBe(baseDigest);
    const other = await choicePolicy.run({ ...createJob, seed: 4 }, runtime);
    expect(await commit(other.files)).not.toBe(baseDigest);
  });

  it('writes a Hugging Face style directory without times or run ids', () => {
    expect([...base.files.keys()]).toEqual([
      'config.json',
      'model.safetensors',
      'optimizer.safetensors',
      'training_state.json',
    ]);
    const json = (name: string): unknown =>
      JSON.parse(Buffer.from(base.files.get(name) ?? []).toString());
    expect(json('config.json')).toEqual({ formatVersion: 1, ...config });
    expect(json('training_state.json')).toMatchObject({
      globalStep: 36,
      seed: 3,
      iteration: 0,
      parent: null,
      dataset: DATASET,
    });
    const { tensors } = readSafetensors(base.files.get('model.safetensors') ?? new Uint8Array());
    expect(tensors.get('embedding.weight')?.shape).toEqual([2048, 16]);
    expect(tensors.get('output.weight')?.shape).toEqual([4, 16]);
  });

  it('learns the demonstrated words, and does better than chance on others', async () => {
    const rate = await accuracy(baseDigest);
    expect(rate).toBeGreaterThan(0.35);
    expect(rate).toBeLessThan(0.9);
  });

  it('refuses to start without demonstrations of every arm', async () => {
    const run = (shown: typeof demonstrations) =>
      choicePolicy.run({ ...createJob, demonstrations: shown }, runtime);
    await expect(run([])).rejects.toThrow(InvalidInputError);
    await expect(run(demonstrations.filter(({ arm }) => arm !== 'cook'))).rejects.toThrow(
      'none of: cook',
    );
  });
});

describe('training from reward alone', () => {
  it('raises the rate on held-out queries by replaying 0/1 feedback', async () => {
    const curve = await learn(replayConfig, 3);
    expect(curve.at(-1)).toBeGreaterThan(0.9);
    expect(curve.at(-1)).toBeGreaterThan((curve[0] as number) + 0.2);
  });

  it('raises it by policy gradient as well', async () => {
    const train = TrainConfig.parse({
      algorithm: 'reinforce',
      batch: 16,
      epochs: 3,
      learningRate: 5e-3,
    });
    const curve = await learn(train, 4);
    expect(curve.at(-1)).toBeGreaterThan((curve[0] as number) + 0.15);
  });

  it('raises it by both together', async () => {
    const train = TrainConfig.parse({
      ...replayConfig,
      policyGradient: { weight: 0.5, entropyBonus: 0.01 },
    });
    expect((await learn(train, 2)).at(-1)).toBeGreaterThan(0.85);
  });

  it('does not move the policy towards arms that earned nothing', async () => {
    const text = 'what is the visa about';
    const feedback = [{ text, available: ARMS, arm: 'card', propensity: 0.5, reward: 0 }];
    const trained = await choicePolicy.run(await trainJob({ feedback }), runtime);
    const probability = (digest: Digest): Promise<number> =>
      serve(digest, async (policy) => {
        const answers = await Promise.all(
          Array.from({ length: 200 }, (_, i) =>
            policy.answer(request(text), { temperature: 1 }, i / 200),
          ),
        );
        return answers.filter(({ sampled }) => sampled?.arm === 'card').length / 200;
      });
    expect(await probability(await commit(trained.files))).toBeLessThan(
      await probability(baseDigest),
    );
  });

  it('reads of a decision only text, available arms, arm, propensity and reward', async () => {
    const job = await trainJob();
    const allowed = new Set(['text', 'available', 'arm', 'propensity', 'reward']);
    const guarded = job.feedback.map(
      (item, i) =>
        new Proxy({ ...item, reference: live[i]?.right, task: `task ${i}` }, {
          get(target, key) {
            if (!allowed.has(String(key))) throw new Error(`training read ${String(key)}`);
            return Reflect.get(target, key) as unknown;
          },
          ownKeys: () => { throw new Error('training listed the fields of a decision'); },
        }), // prettier-ignore
    );
    const plain = await choicePolicy.run(job, runtime);
    const labelled = await choicePolicy.run({ ...job, feedback: guarded }, runtime);
    expect(await commit(labelled.files)).toBe(await commit(plain.files));
  });

  it('gives the same checkpoint in whatever order the feedback arrives', async () => {
    const job = await trainJob({
      train: TrainConfig.parse({ ...replayConfig, policyGradient: { weight: 1 } }),
    });
    const plain = await choicePolicy.run(job, runtime);
    const reversed = await choicePolicy.run(
      { ...job, feedback: [...job.feedback].reverse() },
      runtime,
    );
    expect(await commit(reversed.files)).toBe(await commit(plain.files));
    expect(reversed.replay).toEqual(plain.replay);
  });

  it('goes on from the parent’s moments, or from zero if told to', async () => {
    const job = await trainJob();
    const trained = await choicePolicy.run(job, runtime);
    const reset = { ...job, train: { ...replayConfig, resetOptimizer: true } };
    const afresh = await choicePolicy.run(reset, runtime);
    const stateOf = ({ files }: TrainedPolicy): unknown =>
      JSON.parse(Buffer.from(files.get('training_state.json') ?? []).toString());
    const steps = trained.optimizerSteps;
    expect(stateOf(trained)).toMatchObject({
      globalStep: 36 + steps,
      parent: baseDigest,
      iteration: 1,
    });
    expect(stateOf(afresh)).toMatchObject({ globalStep: steps });
    expect(afresh.files.get('model.safetensors')).not.toEqual(
      trained.files.get('model.safetensors'),
    );
  });

  it('names the optimizer step at which numbers stopped being finite', async () => {
    const { tensors } = readSafetensors(base.files.get('model.safetensors') ?? new Uint8Array());
    const broken = new Map(tensors).set('output.bias', {
      dtype: 'float32',
      shape: [4],
      data: Float32Array.of(0, NaN, 0, 0),
    });
    const files = new Map(base.files).set('model.safetensors', writeSafetensors(broken));
    const run = choicePolicy.run(
      await trainJob({ parent: { digest: baseDigest, files } }),
      runtime,
    );
    await expect(run).rejects.toThrow(NumericalError);
    await expect(run).rejects.toThrow('optimizerStep=1');
  });

  it('refuses feedback that cannot be, and arms that the policy does not have', async () => {
    const run = async (
      item: Partial<Feedback>,
      train: TrainConfig = replayConfig,
    ): Promise<TrainedPolicy> => {
      const fine: Feedback = {
        text: 'x',
        available: ARMS,
        arm: 'card',
        propensity: 0.5,
        reward: 1,
      };
      return choicePolicy.run(await trainJob({ feedback: [{ ...fine, ...item }], train }), runtime);
    };
    await expect(run({ reward: 2 })).rejects.toThrow(InvalidInputError);
    await expect(run({ propensity: 0 })).rejects.toThrow(InvalidInputError);
    await expect(run({ arm: 'none', available: [...ARMS, 'none'] })).rejects.toThrow(/arm=none/);
    await expect(
      run({}, TrainConfig.parse({ ...replayConfig, logitAdjustment: { nobody: 1 } })),
    ).rejects.toThrow('nobody');
    await expect(
      choicePolicy.run(await trainJob({ feedback: [], replay: null }), runtime),
    ).rejects.toThrow('nothing to train on');
  });
});

describe('learning what arms are worth', () => {
  const router = ChoiceConfig.parse({
    ...config,
    arms: ['dear', 'cheap'].map((name) => ({ kind: 'request', name, patch: { model: name } })),
  });
  const prior = { dear: 0.6, cheap: 0.4 };
  const create = { ...createJob, config: router, demonstrations: [], prior } as const;
  const distribution = async (digest: Digest, text: string): Promise<[string, number]> =>
    serve(digest, async (policy) => {
      const { sampled } = await policy.answer(request(text), { temperature: 1 }, 0.3, () => true);
      return [sampled?.arm ?? '', sampled?.propensity ?? 0];
    });

  it('begins with a prior that no text changes', async () => {
    const created = await choicePolicy.run(create, runtime);
    expect(created.optimizerSteps).toBe(0);
    const digest = await commit(created.files);
    for (const text of ['credit card', 'a flight']) {
      const [arm, propensity] = await distribution(digest, text);
      expect(arm).toBe('dear');
      expect(propensity).toBeCloseTo(0.98 * 0.6 + 0.02 * 0.5, 6);
    }
  });

  it.each([{ dear: 1 }, { dear: 1, cheap: 0 }, { dear: 1, cheap: 1, other: 1 }])(
    'refuses the prior %j',
    async (wrong) => {
      await expect(choicePolicy.run({ ...create, prior: wrong }, runtime)).rejects.toThrow('prior');
    },
  );

  it('tells arms apart that differ by a few percent, where each query was seen once', async () => {
    const created = await choicePolicy.run(create, runtime);
    // Cheap is as good about cards and travel and useless elsewhere; it earns a little more where it is as good.
    const queries = makeQueries(400, 'routed');
    const feedback = queries.map(({ text, right }, i): Feedback => {
      const arm =
        stream({ seed: 5, purpose: 'test.route', member: i }).next() < 0.6 ? 'dear' : 'cheap';
      const isGood = right === 'card' || right === 'travel';
      const reward = arm === 'dear' ? 0.9 : isGood ? 1 : 0.1;
      return {
        text,
        available: ['dear', 'cheap'],
        arm,
        propensity: arm === 'dear' ? 0.6 : 0.4,
        reward,
      };
    });
    const parent = { digest: await commit(created.files), files: created.files };
    const train = TrainConfig.parse({
      algorithm: 'value',
      batch: 16,
      epochs: 12,
      dropout: 0.2,
      featureDropout: 0.2,
    });
    const job = await trainJob({ parent, feedback, replay: created.replay, train });
    const digest = await commit((await choicePolicy.run(job, runtime)).files);
    const right = await serve(digest, (policy) =>
      Promise.all(
        heldOut.map(async ({ text, right }) => {
          const isGood = right === 'card' || right === 'travel';
          const { sampled } = await policy.answer(request(text), { temperature: 0 }, 0, () => true);
          return sampled?.arm === (isGood ? 'cheap' : 'dear') ? 1 : 0;
        }),
      ),
    );
    const share = right.reduce((sum: number, one) => sum + one, 0) / right.length;
    expect(share).toBeGreaterThan(0.95);
  });
});

it('says how probable arms are under a checkpoint as it acts at temperature 1', async () => {
  const feedback = await collect(baseDigest, live.slice(0, 40), 1);
  const probabilities = await probabilitiesOf(runtime, base.files, feedback);
  expect(probabilities).toEqual(feedback.map(({ propensity }) => propensity));
});

it('says so of a router at the temperature that it is drawn from, which a lower one sharpens', async () => {
  const arms = ['dear', 'cheap'].map((name) => ({ kind: 'request', name, patch: { model: name } }));
  const prior = { dear: 3, cheap: 1 };
  const at = async (temperature: number): Promise<number[]> => {
    const routed = ChoiceConfig.parse({ ...config, arms, temperature, explorationFloor: 0.02 });
    const { files } = await choicePolicy.run({ ...createJob, config: routed, prior }, runtime);
    const digest = await commit(files);
    await serve(digest, async (policy) => expect(policy.temperature).toBe(temperature));
    const taken = { text: 'a card', available: ['dear', 'cheap'], arm: 'cheap' };
    return probabilitiesOf(runtime, files, [{ ...taken, propensity: 0.5, reward: 1 }]);
  };
  expect((await at(1))[0]).toBeCloseTo(0.98 / 4 + 0.01, 5);
  expect((await at(0.25))[0]).toBeCloseTo(0.98 / (1 + 3 ** 4) + 0.01, 5);
});

describe('resuming', () => {
  it('ends in the digest of an unbroken run, wherever it was broken', async () => {
    const job = await trainJob();
    const whole = await choicePolicy.run(job, runtime);
    const digest = await commit(whole.files);
    for (const step of [1, 7, whole.optimizerSteps - 1]) {
      const state = await breakAt(job, step);
      const resumed = await choicePolicy.run(job, runtime, { resumeFrom: state });
      expect(await commit(resumed.files)).toBe(digest);
      expect(resumed.metrics).toEqual(whole.metrics);
    }
  });

  it('refuses the state of another job', async () => {
    const job = await trainJob();
    const state = await breakAt(job, 2);
    for (const other of [
      { ...job, seed: 99 },
      { ...job, feedback: job.feedback.slice(1) },
    ]) {
      await expect(choicePolicy.run(other, runtime, { resumeFrom: state })).rejects.toThrow(
        'another training job',
      );
    }
  });

  /** Runs until step `step`, is handed the state there, and aborts. */
  async function breakAt(job: TrainingJob, step: number): Promise<Uint8Array> {
    const abort = new AbortController();
    let state: Uint8Array | null = null;
    const options: TrainingOptions = {
      signal: abort.signal,
      stateEvery: step,
      onState: (bytes) => {
        state ??= bytes;
        abort.abort(new Error('broken off'));
      },
    };
    await expect(choicePolicy.run(job, runtime, options)).rejects.toThrow('broken off');
    if (state === null) throw new Error('no state was handed out');
    return state;
  }
});

describe('acting', () => {
  it('gives a request the same bits whoever shares its batch', async () => {
    const alone = await serve(baseDigest, async (policy) => {
      const answers = [];
      for (const { text } of live.slice(0, 40))
        answers.push(await policy.answer(request(text), { temperature: 1 }, 0.4));
      return answers;
    });
    const together = await serve(baseDigest, (policy) =>
      Promise.all(
        live.slice(0, 40).map(({ text }) => policy.answer(request(text), { temperature: 1 }, 0.4)),
      ),
    );
    const reversed = await serve(baseDigest, (policy) =>
      Promise.all(
        live
          .slice(0, 40)
          .reverse()
          .map(({ text }) => policy.answer(request(text), { temperature: 1 }, 0.4)),
      ),
    );
    expect(together).toEqual(alone);
    expect(reversed.reverse()).toEqual(alone);
  });

  it('answers with the call of the arm’s tool and records exactly how it was sampled', async () => {
    await serve(baseDigest, async (policy) => {
      const greedy = ownAnswer(
        await policy.answer(request('credit card please'), { temperature: 0 }, 0.9),
      );
      expect(greedy).toMatchObject({
        finishReason: 'tool_calls',
        sampled: { kind: 'arm', arm: 'card', propensity: 1, available: 4 },
        usage: { promptTokens: 3, completionTokens: 1 },
      });
      const [call] = greedy.message.tool_calls ?? [];
      expect(call?.function).toEqual({
        name: 'tool_card',
        arguments: '{"input":"credit card please"}',
      });
      const draws = await Promise.all(
        Array.from({ length: 400 }, (_, i) =>
          policy.answer(request('visit'), { temperature: 1 }, (i + 0.5) / 400),
        ),
      );
      const propensities = new Map(
        draws.map(({ sampled }) => [sampled?.arm, sampled?.propensity ?? 0]),
      );
      expect([...propensities.values()].reduce((sum, p) => sum + p, 0)).toBeCloseTo(1, 12);
      for (const [arm, propensity] of propensities) {
        const share = draws.filter(({ sampled }) => sampled?.arm === arm).length / 400;
        expect(Math.abs(share - propensity)).toBeLessThanOrEqual(1 / 400);
        expect(propensity).toBeGreaterThanOrEqual(config.explorationFloor / 4);
      }
    });
  });

  it('never takes an arm whose tool is not offered', async () => {
    const offered = tools.slice(0, 2);
    await serve(baseDigest, async (policy) => {
      for (let i = 0; i < 50; i++) {
        const answer = await policy.answer(
          request('oven lawyer', { tools: offered }),
          { temperature: 5 },
          i / 50,
        );
        expect(['card', 'travel']).toContain(answer.sampled?.arm);
        expect(answer.sampled?.available).toBe(2);
      }
    });
  });

  it('honours tool_choice', async () => {
    await serve(baseDigest, async (policy) => {
      const named = { type: 'function', function: { name: 'tool_cook' } } as const;
      const answer = await policy.answer(
        request('credit card', { tool_choice: named }),
        { temperature: 1 },
        0.5,
      );
      expect(answer.sampled).toEqual({ kind: 'arm', arm: 'cook', propensity: 1, available: 1 });
      const refused = policy.answer(
        request('credit card', { tool_choice: 'none' }),
        { temperature: 1 },
        0.5,
      );
      await expect(refused).rejects.toThrow(InvalidInputError);
    });
  });

  it('refuses a request that no arm can take', async () => {
    await serve(baseDigest, async (policy) => {
      await expect(
        policy.answer(request('x', { tools: null }), { temperature: 1 }, 0),
      ).rejects.toThrow('tool_card');
      const foreign: Tool[] = [{ type: 'function', function: { name: 'foreign' } }];
      await expect(
        policy.answer(request('x', { tools: foreign }), { temperature: 1 }, 0),
      ).rejects.toThrow(InvalidInputError);
    });
  });

  it('ends the conversation with the result of the tool that it called', async () => {
    await serve(baseDigest, async (policy) => {
      const { message } = ownAnswer(
        await policy.answer(request('credit card'), { temperature: 0 }, 0),
      );
      const messages: Message[] = [
        { role: 'user', content: 'credit card' },
        message,
        {
          role: 'tool',
          tool_call_id: message.tool_calls?.[0]?.id ?? '',
          content: 'a new card is on its way',
        },
      ];
      expect(await policy.answer(request('', { messages }), { temperature: 1 }, 0.5)).toMatchObject(
        {
          message: { role: 'assistant', content: 'a new card is on its way' },
          finishReason: 'stop',
          sampled: null,
        },
      );
    });
  });
});

describe('the policy server', () => {
  it('says which checkpoint is not there, and finds it once it is', async () => {
    const empty = createMemoryObjectStore();
    const server = createPolicyServer({ store: empty, runtime });
    await expect(server.serve(baseDigest)).rejects.toThrow(NotFoundError);
    await writeCheckpoint(empty, { files: base.files, metadata: {} });
    await expect(server.serve(baseDigest)).resolves.toMatchObject({ checkpoint: baseDigest });
    await server.close();
  });

  it('loads a checkpoint once for all who ask at the same time', async () => {
    const { server, reads } = counting();
    await Promise.all(Array.from({ length: 5 }, () => server.serve(baseDigest)));
    expect(reads.filter((key) => key.endsWith('model.safetensors'))).toHaveLength(1);
    await server.close();
  });

  it('releases the least recently used, whose handle goes on working', async () => {
    const { server, reads } = counting(1);
    const other = await commit((await choicePolicy.run({ ...createJob, seed: 5 }, runtime)).files);
    const first = await server.serve(baseDigest);
    const before = await first.answer(request('luggage'), { temperature: 1 }, 0.3);
    const slow = first.answer(request('luggage'), { temperature: 1 }, 0.3); // under way while it is evicted
    await server.serve(other);
    expect(await slow).toEqual(before);
    expect(await first.answer(request('luggage'), { temperature: 1 }, 0.3)).toEqual(before);
    expect(reads.filter((key) => key.endsWith('model.safetensors'))).toHaveLength(3);
    await server.close();
  });

  function counting(maxLoaded = 4) {
    const reads: string[] = [];
    const counted: ObjectStore = {
      ...store,
      get: (key) => {
        reads.push(key);
        return store.get(key);
      },
    };
    return { reads, server: createPolicyServer({ store: counted, runtime, maxLoaded }) };
  }
});

describe('training in a thread', () => {
  const trainer = createThreadTrainer({ intraOpThreads: 1 });

  it('gives the bits of training in place, with progress, also from a state of another thread', async () => {
    const job = await trainJob();
    const digest = await commit((await choicePolicy.run(job, runtime)).files);
    const states: Uint8Array[] = [];
    const done: number[] = [];
    const trained = await trainer.train(job, {
      stateEvery: 10,
      onState: async (state) => void states.push(state),
      onProgress: (progress) => done.push(progress.done),
    });
    expect(await commit(trained.files)).toBe(digest);
    expect(done).toEqual(Array.from({ length: trained.optimizerSteps }, (_, i) => i + 1));
    const resumed = await trainer.train(job, { resumeFrom: states.at(-1) ?? new Uint8Array() });
    expect(await commit(resumed.files)).toBe(digest);
  });

  it('ends when it is aborted, with the reason that it was given, and leaves no thread', async () => {
    const running = new Set<Worker>();
    const exitCodes: number[] = [];
    const watched = createThreadTrainer({
      intraOpThreads: 1,
      spawn: (threadJob) => {
        const worker = spawnThread(threadJob);
        running.add(worker);
        worker.once('exit', (code) => exitCodes.push(code) && running.delete(worker));
        return worker;
      },
    });
    const abort = new AbortController();
    const reason = new Error('cancelled');
    const long = await trainJob({
      train: TrainConfig.parse({ ...replayConfig, batch: 1, epochs: 1000, maxExamples: null }),
    });
    const onProgress = (): void => abort.abort(reason);
    const training = watched.train(long, { signal: abort.signal, onProgress });
    expect(running.size).toBe(1);
    await expect(training).rejects.toBe(reason);
    expect(running.size).toBe(0);
    expect(exitCodes).toEqual([0]); // by itself, not ended from outside
    await expect(watched.train(long, { signal: abort.signal })).rejects.toBe(reason);
    expect(running.size).toBe(0);
  });

  it('hands over after the step under way, and goes on elsewhere to the same bits', async () => {
    const job = await trainJob();
    const digest = await commit((await choicePolicy.run(job, runtime)).files);
    const handOver = new AbortController();
    const reason = new Error('told to stop');
    const states: Uint8Array[] = [];
    let done = 0;
    const stopped = trainer.train(job, {
      handOver: handOver.signal,
      stateEvery: 1_000_000, // no state but the last
      onState: async (state) => void states.push(state),
      onProgress: (progress) => {
        done = progress.done;
        if (done === 3) handOver.abort(reason);
      },
    });
    await expect(stopped).rejects.toBe(reason);
    expect(states).toHaveLength(1);
    const rest: number[] = [];
    const resumed = await trainer.train(job, {
      resumeFrom: states[0] as Uint8Array,
      onProgress: (progress) => rest.push(progress.done),
    });
    expect(rest[0]).toBe(done + 1);
    expect(await commit(resumed.files)).toBe(digest);
  });

  it('ends with what the caller’s own callback threw', async () => {
    const full = new Error('disk full');
    const onState = async (): Promise<void> => { throw full; }; // prettier-ignore
    await expect(trainer.train(await trainJob(), { stateEvery: 1, onState })).rejects.toBe(full);
  });

  it('keeps the class and context of an error', async () => {
    const failing = trainer.train(await trainJob({ feedback: [], replay: null }));
    await expect(failing).rejects.toThrow(InvalidInputError);
    const files = new Map(base.files);
    files.delete('model.safetensors');
    await expect(
      trainer.train(await trainJob({ parent: { digest: baseDigest, files } })),
    ).rejects.toMatchObject({
      name: 'IntegrityError',
      code: 'Integrity',
      context: { file: 'model.safetensors' },
    });
  });
});

describe('a policy with tool arms and request arms', () => {
  const cascade = ChoiceConfig.parse({
    ...config,
    arms: [...config.arms, { kind: 'request', name: 'llm', patch: { model: 'large' } }],
  });
  const job: TrainingJob = {
    ...createJob,
    config: cascade,
    demonstrations: [
      ...demonstrations,
      ...Array.from({ length: 12 }, (_, i) => ({ text: `riddle poem number ${i}`, arm: 'llm' })),
    ],
  };
  const everywhere = (): boolean => true;
  let digest: Digest;
  beforeAll(async () => {
    digest = await commit((await choicePolicy.run(job, runtime)).files);
  });

  it('answers what it knows, and has an upstream asked about the rest', async () => {
    await serve(digest, async (policy) => {
      expect(policy.temperature).toBe(1);
      const known = await policy.answer(request('credit card'), { temperature: 0 }, 0, everywhere);
      expect(ownAnswer(known).sampled?.arm).toBe('card');
      const other = await policy.answer(
        request('a poem riddle'),
        { temperature: 0 },
        0,
        everywhere,
      );
      expect(other).toEqual({
        patch: { model: 'large' },
        sampled: { kind: 'arm', arm: 'llm', propensity: 1, available: 5, arms: [...ARMS, 'llm'] },
      });
    });
  });

  it('masks what nobody would answer, and draws among the rest', async () => {
    await serve(digest, async (policy) => {
      const { sampled } = await policy.answer(request('a poem riddle'), { temperature: 1 }, 0.5);
      expect(sampled).toMatchObject({ available: 4, arms: ARMS });
    });
  });

  it('has the upstream go on once a tool that it called has answered, and hands back the result where there is none', async () => {
    await serve(digest, async (policy) => {
      const { message } = ownAnswer(
        await policy.answer(request('credit card'), { temperature: 0 }, 0),
      );
      const messages: Message[] = [
        { role: 'user', content: 'credit card' },
        message,
        { role: 'tool', tool_call_id: message.tool_calls?.[0]?.id ?? '', content: 'done' },
      ];
      const ask = (forwards?: () => boolean) =>
        policy.answer(request('', { messages }), { temperature: 0 }, 0, forwards);
      expect(await ask(everywhere)).toMatchObject({ sampled: { arm: 'llm', available: 1 } });
      expect(ownAnswer(await ask()).message.content).toBe('done');
    });
  });
});
