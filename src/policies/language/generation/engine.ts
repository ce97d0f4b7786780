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

/** Tokens of a prompt that are read at once: attention needs memory in proportion to them and to all before them. */
const LONGEST_PIECE = 512;

/** A request with who waits for it. */
interface Job {
  readonly sequence: Sequence;
  /** How much of the prompt was read. */
  read: number;
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
  const { contextLength, maxWaiting = 256, prefillTokens = 2048 } = spec;
  const slots = new Slots<Job>(decoder.cache);
  const waiting: Job[] = [];
  /** In the order of their slots, from 0. */
  const writing: Job[] = [];
  /** In the order of their slots, behind those. */
  const reading: Job[] = [];
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
    for (const list of [waiting, writing, reading]) {
      const at = list.indexOf(job);
      if (at < 0) continue;
      if (list === waiting) {
        list.splice(at, 1);
        return;
      }
      if (list === writing) {
        // The last that is written takes its place, so that they stay together.
        const last = writing.length - 1;
        slots.swap(at, last);
        [writing[at], writing[last]] = [writing[last] as Job, writing[at] as Job];
        writing.pop();
        if (reading.length > 0) {
          slots.swap(last, last + reading.length);
          reading.unshift(reading.pop() as Job);
        }
      } else {
        const [end, place] = [reading.length - 1, writing.length];
        slots.swap(place + at, place + end);
        [reading[at], reading[end]] = [reading[end] as Job, reading[at] as Job];
        reading.pop();
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
      if (reading.some((other) => shareMost(other.sequence.request.prompt, prompt))) {
        later.push(job);
        continue;
      }
      job.read = slots.take(job, prompt);
      job.sequence.cachedTokens = job.read;
      reading.push(job);
    }
    waiting.unshift(...later);
  }

  const pieceOf = ({ sequence: { request }, read }: Job): readonly number[] =>
    request.prompt.slice(read, read + LONGEST_PIECE);

  /** The next pieces of prompts, of about one length: of those that begin anywhere, or of those that go on side by side. */
  function nextPieces(budget: number): readonly Job[] {
    const goesOn = (reading[0]?.read ?? 0) > 0;
    const batch: Job[] = [];
    let longest = 0;
    for (const job of reading) {
      const { length } = pieceOf(job);
      const most = Math.max(longest, length);
      const isAlike =
        job.read > 0 === goesOn && length * 2 > longest && (length < longest * 2 || longest === 0);
      const fits = batch.length === 0 || most * (batch.length + 1) <= budget;
      if (isAlike && fits) {
        batch.push(job);
        longest = most;
      } else if (goesOn) break;
    }
    return batch;
  }

  /** @returns the tokens that it took, padding included. */
  async function readPieces(batch: readonly Job[]): Promise<number> {
    const rows = batch.map((job) => ({ slot: job.slot, past: job.read, tokens: pieceOf(job) }));
    const next = await decoder.read(rows);
    batch.forEach((job, i) => {
      const tokens = rows[i]?.tokens ?? [];
      slots.contentOf(job.slot).push(...tokens);
      job.read += tokens.length;
      if (job.read < job.sequence.request.prompt.length) return;
      // From here on it is written: to the first place behind those that are.
      const at = reading.indexOf(job);
      const place = writing.length;
      slots.swap(place, place + at);
      reading[at] = reading[0] as Job;
      reading.shift();
      writing.push(job);
      advance(job, next[i] as NextToken);
    });
    leave();
    return rows.length * Math.max(...rows.map(({ tokens }) => tokens.length));
  }

  async function readPrompts(): Promise<void> {
    for (let budget = prefillTokens; budget > 0 && reading.length > 0;) {
      const batch = nextPieces(budget);
      try {
        budget -= await readPieces(batch);
      } catch (error) {
        for (const job of batch) fail(job, error);
      }
    }
  }

  async function writeTokens(): Promise<void> {
    if (writing.length === 0) return;
    const rows = writing.map(({ slot, sequence }) => ({
      slot,
      past: slots.contentOf(slot).length,
      tokens: [sequence.lastToken],
    }));
    const next = await decoder.read(rows);
    writing.forEach((job, i) => {
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
    for (const job of [...writing]) {
      const { finish } = job.sequence;
      if (job.failure !== null) fail(job, job.failure.error);
      else if (finish !== null) {
        remove(job);
        job.resolve(job.sequence.result(finish));
      }
    }
  }

  function dropAborted(): void {
    for (const job of [...waiting, ...reading, ...writing]) {
      const gone = [closed.signal, job.options.signal].find((signal) => signal?.aborted === true);
      if (gone !== undefined) fail(job, gone.reason);
    }
  }

  async function run(): Promise<void> {
    while (waiting.length + reading.length + writing.length > 0) {
      dropAborted();
      admit();
      await readPrompts();
      dropAborted();
      try {
        await writeTokens();
      } catch (error) {
        for (const job of [...writing]) fail(job, error);
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
        waiting.push({ sequence, read: 0, slot: -1, failure: null, options, resolve, reject });
        loop ??= run();
      });
    },
    load: () => ({ running: writing.length + reading.length, waiting: waiting.length }),
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
