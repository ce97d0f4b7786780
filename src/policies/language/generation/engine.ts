import { InvalidInputError, TransientError } from '../../../errors';
import type { Decoder, NextToken } from './decoder';
import type { Generation, GenerationOptions, GenerationRequest, TextStream } from './generation';
import { Sequence } from './sequence';
import { SHORTEST_PREFIX, Slots } from './slots';

export interface EngineSpec {
  readonly vocabSize: number;
  readonly contextLength: number;
  readonly createTextStream: () => TextStream;
  /** Requests that may wait for a place; more are refused. @default 256 */
  readonly maxWaiting?: number;
  /** About how many tokens of prompts are read between two steps of the sequences that are written: more, and those stall. @default 2048 */
  readonly prefillTokens?: number;
  /** Tokens of a prompt that are read at once: attention needs memory in proportion to them and to all before them. @default 512 */
  readonly prefillChunk?: number;
}

/** How busy an engine is. */
export interface EngineLoad {
  readonly running: number;
  readonly waiting: number;
}

/** Writes sequences, many at once: each joins when it has a place and leaves when it is at its end. */
export interface GenerationEngine {
  /**
   * @throws {InvalidInputError} if the prompt is empty, has unknown tokens, or leaves no room in the context.
   * @throws {TransientError} if too many wait already, or the engine was closed.
   * @throws the signal's reason once it is aborted; the place is free after the step under way.
   */
  generate(request: GenerationRequest, options?: GenerationOptions): Promise<Generation>;
  load(): EngineLoad;
  /** Requests still open are rejected. */
  close(): Promise<void>;
}

/** A request with who waits for it. */
interface Job {
  readonly sequence: Sequence;
  /** How much of the prompt was read. */
  prefilled: number;
  slot: number;
  failure: { readonly error: unknown } | null;
  readonly options: GenerationOptions;
  readonly resolve: (generation: Generation) => void;
  readonly reject: (reason: unknown) => void;
}

/**
 * Continuous batching (Yu et al. 2022, "Orca", OSDI): each round reads a bounded number of tokens of new prompts, then takes one step with
 * all sequences that are written. In the cache, those that are written come first and those that are still read behind them.
 */
export function createEngine(decoder: Decoder, spec: EngineSpec): GenerationEngine {
  const { contextLength, maxWaiting = 256, prefillTokens = 2048, prefillChunk = 512 } = spec;
  const slots = new Slots<Job>(decoder.cache);
  const waiting: Job[] = [];
  /** In the order of their slots, from 0. */
  const decoding: Job[] = [];
  /** In the order of their slots, behind those. */
  const prefilling: Job[] = [];
  const closed = new AbortController();
  let loop: Promise<void> | null = null;

  function check(request: GenerationRequest): void {
    const { prompt, maxTokens } = request;
    if (prompt.length === 0) throw new InvalidInputError('a prompt needs at least one token');
    if (prompt.length >= contextLength) {
      throw new InvalidInputError('the prompt leaves no room in the context', {
        context: { promptTokens: prompt.length, contextLength },
      });
    }
    const unknown = prompt.find((id) => !Number.isInteger(id) || id < 0 || id >= spec.vocabSize);
    if (unknown !== undefined) {
      throw new InvalidInputError('the prompt has a token that the model does not have', {
        context: { token: unknown, vocabSize: spec.vocabSize },
      });
    }
    if (maxTokens !== null && !(Number.isInteger(maxTokens) && maxTokens > 0)) {
      throw new InvalidInputError('maxTokens: expected a positive integer, or null', {
        context: { got: maxTokens },
      });
    }
  }

  /** Takes a job out, wherever it is. */
  function remove(job: Job): void {
    for (const list of [waiting, decoding, prefilling]) {
      const at = list.indexOf(job);
      if (at < 0) continue;
      if (list === waiting) {
        list.splice(at, 1);
        return;
      }
      if (list === decoding) {
        // The last that is written takes its place, so that they stay together.
        const last = decoding.length - 1;
        slots.swap(at, last);
        [decoding[at], decoding[last]] = [decoding[last] as Job, decoding[at] as Job];
        decoding.pop();
        if (prefilling.length > 0) {
          slots.swap(last, last + prefilling.length);
          prefilling.unshift(prefilling.pop() as Job);
        }
      } else {
        const [end, place] = [prefilling.length - 1, decoding.length];
        slots.swap(place + at, place + end);
        [prefilling[at], prefilling[end]] = [prefilling[end] as Job, prefilling[at] as Job];
        prefilling.pop();
      }
      slots.free(job.slot);
      return;
    }
  }

  function fail(job: Job, reason: unknown): void {
    remove(job);
    job.reject(reason);
  }

  function admit(): void {
    const later: Job[] = [];
    while (waiting.length > 0 && !slots.isFull) {
      const job = waiting.shift() as Job;
      const { prompt } = job.sequence.request;
      // What is being read now will be in the cache next time: several answers to one prompt read it once.
      if (prefilling.some((other) => shareMost(other.sequence.request.prompt, prompt))) {
        later.push(job);
        continue;
      }
      job.prefilled = slots.take(job, prompt);
      job.sequence.cachedTokens = job.prefilled;
      prefilling.push(job);
    }
    waiting.unshift(...later);
  }

  const chunkOf = ({ sequence: { request }, prefilled }: Job): readonly number[] =>
    request.prompt.slice(prefilled, prefilled + prefillChunk);

  /** The next chunks of prompts, of about one length: of those that begin anywhere, or of those that go on side by side. */
  function nextChunks(budget: number): readonly Job[] {
    const goesOn = (prefilling[0]?.prefilled ?? 0) > 0;
    const batch: Job[] = [];
    let longest = 0;
    for (const job of prefilling) {
      const { length } = chunkOf(job);
      const most = Math.max(longest, length);
      const isAlike =
        job.prefilled > 0 === goesOn &&
        length * 2 > longest &&
        (length < longest * 2 || longest === 0);
      const fits = batch.length === 0 || most * (batch.length + 1) <= budget;
      if (isAlike && fits) {
        batch.push(job);
        longest = most;
      } else if (goesOn) break;
    }
    return batch;
  }

  /** @returns the tokens that it took, padding included. */
  async function prefillChunks(batch: readonly Job[]): Promise<number> {
    const rows = batch.map((job) => ({
      slot: job.slot,
      past: job.prefilled,
      tokens: chunkOf(job),
    }));
    const next = await decoder.read(rows);
    batch.forEach((job, i) => {
      const tokens = rows[i]?.tokens ?? [];
      slots.contentOf(job.slot).push(...tokens);
      job.prefilled += tokens.length;
      if (job.prefilled < job.sequence.request.prompt.length) return;
      // From here on it is written: to the first place behind those that are.
      const at = prefilling.indexOf(job);
      const place = decoding.length;
      slots.swap(place, place + at);
      prefilling[at] = prefilling[0] as Job;
      prefilling.shift();
      decoding.push(job);
      advance(job, next[i] as NextToken);
    });
    leave();
    return rows.length * Math.max(...rows.map(({ tokens }) => tokens.length));
  }

  async function prefill(): Promise<void> {
    for (let budget = prefillTokens; budget > 0 && prefilling.length > 0;) {
      const batch = nextChunks(budget);
      try {
        budget -= await prefillChunks(batch);
      } catch (error) {
        for (const job of batch) fail(job, error);
      }
    }
  }

  async function decode(): Promise<void> {
    if (decoding.length === 0) return;
    const rows = decoding.map(({ slot, sequence }) => ({
      slot,
      past: slots.contentOf(slot).length,
      tokens: [sequence.lastToken],
    }));
    const next = await decoder.read(rows);
    decoding.forEach((job, i) => {
      slots.contentOf(job.slot).push(job.sequence.lastToken);
      advance(job, next[i] as NextToken);
    });
    leave();
  }

  /** What fails here, such as a constraint that nothing fits, is this one's failure. */
  function advance(job: Job, next: NextToken): void {
    try {
      const { token, text } = job.sequence.advance(next);
      job.options.onToken?.(token.token, text);
    } catch (error) {
      job.failure = { error };
    }
  }

  /** Those that are at their end go. */
  function leave(): void {
    for (const job of [...decoding]) {
      const { finish } = job.sequence;
      if (job.failure !== null) fail(job, job.failure.error);
      else if (finish !== null) {
        remove(job);
        job.resolve(job.sequence.result(finish));
      }
    }
  }

  function dropAborted(): void {
    for (const job of [...waiting, ...prefilling, ...decoding]) {
      const gone = [closed.signal, job.options.signal].find((signal) => signal?.aborted === true);
      if (gone !== undefined) fail(job, gone.reason);
    }
  }

  async function run(): Promise<void> {
    while (waiting.length + prefilling.length + decoding.length > 0) {
      dropAborted();
      admit();
      await prefill();
      dropAborted();
      try {
        await decode();
      } catch (error) {
        for (const job of [...decoding]) fail(job, error);
      }
    }
    loop = null; // at once: whoever asks next starts another
  }

  return {
    generate(request, options = {}) {
      return new Promise<Generation>((resolve, reject) => {
        closed.signal.throwIfAborted();
        check(request);
        options.signal?.throwIfAborted();
        if (waiting.length >= maxWaiting) {
          throw new TransientError('too many requests wait for the model: try again later', {
            context: { waiting: waiting.length },
            retryAfterMs: 1000,
          });
        }
        const sequence = new Sequence(request, spec.createTextStream(), contextLength);
        waiting.push({ sequence, prefilled: 0, slot: -1, failure: null, options, resolve, reject });
        loop ??= run();
      });
    },
    load: () => ({ running: decoding.length + prefilling.length, waiting: waiting.length }),
    async close() {
      closed.abort(new TransientError('the engine was closed'));
      await loop;
      await decoder.release();
    },
  };
}

/** Whether another prompt begins with at least half of this one, so that waiting for it is the shorter way. */
function shareMost(other: readonly number[], prompt: readonly number[]): boolean {
  const half = Math.max(SHORTEST_PREFIX, Math.ceil(prompt.length / 2));
  if (other.length < half || prompt.length < half) return false;
  for (let i = 0; i < half; i++) if (other[i] !== prompt[i]) return false;
  return true;
}
