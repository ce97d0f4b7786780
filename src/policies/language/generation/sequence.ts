import type { RandomStream } from '../../../rl/counter-rng';
import { stream } from '../../../rl/counter-rng';
import type { FinishReason, Generation, GenerationRequest, TextStream } from './generation';
import type { NextToken } from './decoder';
import { sampleToken, type SampledToken } from './sampling';
import { StopStrings } from './stop-strings';

/** One sequence that is being written: what was drawn, what is to be shown, and whether it is at its end. */
export class Sequence {
  readonly request: GenerationRequest;
  /** Tokens of the prompt that were in the cache already. */
  cachedTokens = 0;
  readonly #random: RandomStream;
  readonly #seen: Set<number>;
  readonly #decoder: TextStream;
  readonly #stops: StopStrings;
  readonly #tokens: number[] = [];
  readonly #logProbs: number[] = [];
  readonly #rawLogProbs: number[] = [];
  readonly #mostTokens: number;
  #constraint: GenerationRequest['constraint'];
  #text = '';
  #finish: FinishReason | null = null;
  #stop: string | null = null;

  constructor(request: GenerationRequest, decoder: TextStream, contextLength: number) {
    this.request = request;
    this.#random = stream({ seed: request.seed, purpose: 'language.sample' });
    this.#seen = new Set(request.prompt);
    this.#decoder = decoder;
    this.#stops = new StopStrings(request.stopStrings);
    this.#constraint = request.constraint;
    // The last token that fits is drawn at the context's end: it is never read.
    const room = contextLength - request.prompt.length + 1;
    this.#mostTokens = Math.min(request.maxTokens ?? room, room);
  }

  get finish(): FinishReason | null {
    return this.#finish;
  }

  /** Drawn, and not read yet. */
  get lastToken(): number {
    return this.#tokens[this.#tokens.length - 1] as number;
  }

  /** Draws the next token. @returns what is new to show. */
  advance(next: NextToken): { readonly token: SampledToken; readonly text: string } {
    const { sampling, stopTokens } = this.request;
    const allowed = this.#constraint?.allowed() ?? null;
    const drawn = sampleToken(next, {
      sampling,
      random: this.#random,
      seen: this.#seen,
      allowed,
    });
    const { token } = drawn;
    this.#tokens.push(token);
    this.#logProbs.push(drawn.logProb);
    this.#rawLogProbs.push(drawn.rawLogProb);
    this.#seen.add(token);
    let text = '';
    if (stopTokens.has(token)) {
      this.#finish = 'stop';
    } else {
      this.#constraint = this.#constraint?.accept(token);
      const shown = this.#stops.push(this.#decoder.push(token));
      text = shown.text;
      this.#stop = shown.stop;
      if (shown.stop !== null) this.#finish = 'stop';
      else if (this.#tokens.length >= this.#mostTokens) this.#finish = 'length';
    }
    if (this.#finish !== null && this.#stop === null) {
      const rest = this.#stops.push(this.#decoder.end());
      this.#stop = rest.stop;
      text += rest.text + (rest.stop === null ? this.#stops.end() : '');
    }
    this.#text += text;
    return { token: drawn, text };
  }

  result(finish: FinishReason): Generation {
    return {
      tokens: this.#tokens,
      logProbs: this.#logProbs,
      rawLogProbs: this.#rawLogProbs,
      text: this.#text,
      finish,
      stop: this.#stop,
      cachedTokens: this.cachedTokens,
    };
  }
}
