/** @jest-environment ./test/gradcheck/ort-environment.cjs */
import type { Generation } from '../../../../../src/policies/language/generation/generation';
import { stream } from '../../../../../src/rl/counter-rng';
import {
  generationRequest as request,
  goldenEngine,
  GREEDY,
  type GoldenEngine,
} from '../../../../helpers/golden-engine';
import { GOLDEN_MODELS } from '../../../../helpers/golden-models';

let open: GoldenEngine | undefined;
afterEach(async () => {
  await open?.close();
  open = undefined;
});
async function engineOf(...args: Parameters<typeof goldenEngine>): Promise<GoldenEngine> {
  open = await goldenEngine(...args);
  return open;
}

const random = stream({ seed: 3, purpose: 'test.engine' });
const promptOf = (length: number): number[] => Array.from({ length }, () => 3 + random.below(93));

describe.each(GOLDEN_MODELS)('%s', (name) => {
  test('greedy generations are those of transformers, alone and in one batch', async () => {
    const { engine, model } = await engineOf(name);
    for (const { prompt, generated } of model.golden.greedy) {
      expect((await engine.generate(request(prompt, GREEDY))).tokens).toEqual(generated);
    }
    const together = await Promise.all(
      model.golden.greedy.map(({ prompt }) => engine.generate(request(prompt, GREEDY))),
    );
    expect(together.map(({ tokens }) => tokens)).toEqual(
      model.golden.greedy.map(({ generated }) => generated),
    );
  });
});

test('what a sequence draws does not depend on who shares its batch, or on when it joins', async () => {
  const prompts = Array.from({ length: 9 }, (_, i) => promptOf(1 + ((i * 7) % 20)));
  const requests = prompts.map((prompt, i) =>
    request(prompt, { seed: i, maxTokens: 8 + i * 3, sampling: { temperature: 0.9, topP: 0.95 } }),
  );
  const alone: Generation[] = [];
  for (const one of requests) {
    const single = await goldenEngine('llama3', { slots: 1 });
    alone.push(await single.engine.generate(one));
    await single.close();
  }
  const { engine, runs } = await engineOf('llama3', { slots: 4 }); // more requests than places: they leave and join
  const shared = await Promise.all([...requests].reverse().map((one) => engine.generate(one)));
  expect(Math.max(...runs.map(({ rows }) => rows))).toBe(4);
  shared.reverse().forEach((generation, i) => {
    expect(generation.tokens).toEqual(alone[i]?.tokens);
    generation.logProbs.forEach((logProb, t) =>
      expect(logProb).toBeCloseTo(alone[i]?.logProbs[t] as number, 4),
    );
  });
});

test('another seed draws other tokens, the same seed the same', async () => {
  const { engine } = await engineOf('qwen2');
  const draw = async (seed: number): Promise<readonly number[]> =>
    (await engine.generate(request([5, 6, 7], { seed }))).tokens;
  const first = await draw(1);
  expect(await draw(1)).toEqual(first);
  expect(await draw(2)).not.toEqual(first);
});

test('log-probabilities are those of the model, and those of the distribution that was drawn from', async () => {
  const { engine } = await engineOf('qwen3');
  const plain = await engine.generate(request([9, 8, 7], { seed: 4 }));
  expect(plain.logProbs).toEqual(plain.rawLogProbs);
  const sharp = await engine.generate(request([9, 8, 7], { seed: 4, sampling: { topK: 1 } }));
  const greedy = await engine.generate(request([9, 8, 7], GREEDY));
  expect(sharp.tokens).toEqual(greedy.tokens);
  expect(sharp.logProbs.every((logProb) => logProb === 0)).toBe(true);
  expect(sharp.rawLogProbs.every((logProb) => logProb < 0)).toBe(true);
});

test('the next turn of a conversation does not read the turns before it again', async () => {
  const { engine, runs } = await engineOf('llama2', { slots: 2 });
  const prompt = promptOf(24);
  const first = await engine.generate(request(prompt, { ...GREEDY, maxTokens: 6 }));
  expect(first.cachedTokens).toBe(0);
  runs.length = 0;
  const next = [...prompt, ...first.tokens, ...promptOf(5)];
  const again = await engine.generate(request(next, { ...GREEDY, maxTokens: 6 }));
  // All but the last token that was drawn: nobody has read that one.
  expect(again.cachedTokens).toBe(24 + 5);
  expect(runs[0]).toEqual({ rows: 1, tokens: 6, past: 29 });
  const fresh = await goldenEngine('llama2');
  expect(again.tokens).toEqual(
    (await fresh.engine.generate(request(next, { ...GREEDY, maxTokens: 6 }))).tokens,
  );
  await fresh.close();
});

test('several answers to one prompt read it once', async () => {
  const { engine, runs } = await engineOf('llama2', { slots: 4 });
  const prompt = promptOf(30);
  const answers = await Promise.all(
    [1, 2, 3, 4].map((seed) => engine.generate(request(prompt, { seed, maxTokens: 10 }))),
  );
  expect(runs[0]).toEqual({ rows: 1, tokens: 30, past: 0 });
  expect(answers.map(({ cachedTokens }) => cachedTokens)).toEqual([0, 29, 29, 29]);
  const fresh = await goldenEngine('llama2');
  for (const [i, { tokens }] of answers.entries()) {
    const alone = await fresh.engine.generate(request(prompt, { seed: i + 1, maxTokens: 10 }));
    expect(tokens).toEqual(alone.tokens);
  }
  await fresh.close();
});

test('a long prompt is read chunk by chunk, and changes nothing for those that are written meanwhile', async () => {
  const { engine, model, runs } = await engineOf('llama2', { prefillTokens: 4, prefillChunk: 4 });
  const sequences = await Promise.all(
    model.golden.greedy.map(({ prompt }) => engine.generate(request(prompt, GREEDY))),
  );
  expect(sequences.map(({ tokens }) => tokens)).toEqual(
    model.golden.greedy.map(({ generated }) => generated),
  );
  const longest = Math.max(...model.golden.greedy.map(({ prompt }) => prompt.length));
  expect(longest).toBeGreaterThan(8); // three chunks
  expect(Math.max(...runs.map(({ tokens }) => tokens))).toBe(4);
  expect(runs.filter(({ tokens, past }) => tokens > 1 && past >= 4).length).toBeGreaterThan(1);
  // Between two chunks of the long one, the short ones went on.
  const last = runs.map(({ tokens, past }) => tokens > 1 && past > 0).lastIndexOf(true);
  expect(runs.slice(0, last).some(({ tokens, past }) => tokens === 1 && past > 0)).toBe(true);
});

describe('ends', () => {
  test('at max_tokens, at the end of the context, at a stop token, before a stop string', async () => {
    const { engine, model } = await engineOf('llama3');
    const { prompt, generated } = model.golden.greedy[1] as (typeof model.golden.greedy)[number];
    const of = (changes: Parameters<typeof request>[1]): Promise<Generation> =>
      engine.generate(request(prompt, { ...GREEDY, ...changes }));
    expect(await of({ maxTokens: 3 })).toMatchObject({
      tokens: generated.slice(0, 3),
      finish: 'length',
      text: '<56><94><35>',
    });
    const whole = await of({ maxTokens: null });
    expect(whole.finish).toBe('length');
    expect(prompt.length + whole.tokens.length).toBe(64 + 1); // the last one is drawn, and never read
    expect(await of({ stopTokens: new Set([35]) })).toMatchObject({
      tokens: generated.slice(0, 3),
      finish: 'stop',
      text: '<56><94>',
      stop: null,
    });
    expect(await of({ stopStrings: ['5><79'] })).toMatchObject({
      tokens: generated.slice(0, 4),
      finish: 'stop',
      text: '<56><94><3',
      stop: '5><79',
    });
  });

  test('when it is cancelled, and its place goes to who waits', async () => {
    const { engine } = await engineOf('llama3', { slots: 1 });
    const cancel = new AbortController();
    const written: number[] = [];
    const cancelled = engine.generate(request([5], { maxTokens: null }), {
      signal: cancel.signal,
      onToken: (token) => {
        if (written.push(token) === 3) cancel.abort(new Error('the caller hung up'));
      },
    });
    const next = engine.generate(request([6], { ...GREEDY, maxTokens: 2 }));
    await expect(cancelled).rejects.toThrow('the caller hung up');
    expect(written).toHaveLength(3);
    expect((await next).tokens).toHaveLength(2);
    expect(engine.load()).toEqual({ running: 0, waiting: 0 });
  });

  test('by themselves only: a caller that fails takes nobody along', async () => {
    const { engine } = await engineOf('llama3');
    const faulty = engine.generate(request([5]), {
      onToken: () => {
        throw new Error('no room on the disk');
      },
    });
    const other = engine.generate(request([6], { maxTokens: 4 }));
    await expect(faulty).rejects.toThrow('no room on the disk');
    expect((await other).tokens).toHaveLength(4);
  });
});

describe('refuses', () => {
  test('what cannot be read', async () => {
    const { engine } = await engineOf('llama3');
    const refused = (prompt: number[], changes = {}): Promise<unknown> =>
      expect(engine.generate(request(prompt, changes))).rejects.toMatchObject({
        message: expect.stringMatching(/prompt|maxTokens/) as string,
        code: 'InvalidInput',
      });
    await refused([]);
    await refused([96]);
    await refused([-1]);
    await refused([1.5]);
    await refused(promptOf(64));
    await refused([5], { maxTokens: 0 });
  });

  test('more than may wait', async () => {
    const { engine } = await engineOf('llama3', { slots: 1, maxWaiting: 2 });
    const results = await Promise.allSettled(
      Array.from({ length: 4 }, () => engine.generate(request([5], { maxTokens: 4 }))),
    );
    expect(results.map(({ status }) => status)).toEqual([
      ...['fulfilled', 'fulfilled', 'fulfilled', 'rejected'],
    ]);
    expect(results[3]).toMatchObject({ reason: { code: 'Transient', retryAfterMs: 1000 } });
  });

  test('anything after it was closed, and what was open then', async () => {
    const { engine } = await engineOf('llama3');
    const left = expect(engine.generate(request([5], { maxTokens: null }))).rejects.toThrow(
      'closed',
    );
    await engine.close();
    await left;
    await expect(engine.generate(request([5]))).rejects.toThrow('closed');
  });

  test('weights that are not finite, by name of what is wrong', async () => {
    const { engine, model } = await engineOf('llama3');
    (model.weights['model.norm.weight'] as Float32Array)[0] = NaN;
    await expect(engine.generate(request([5]))).rejects.toMatchObject({ code: 'Numerical' });
  });
});

test('a constraint holds what is drawn, and its log-probabilities are of what was left', async () => {
  const { engine } = await engineOf('llama3');
  const even = new Uint32Array(3).fill(0x55555555);
  const constraint = { allowed: () => even, accept: () => constraint };
  const held = await engine.generate(request([5], { constraint, seed: 1 }));
  expect(held.tokens.every((token) => token % 2 === 0)).toBe(true);
  held.tokens.forEach((_, i) =>
    expect(held.logProbs[i]).toBeGreaterThan(held.rawLogProbs[i] as number),
  );
});
