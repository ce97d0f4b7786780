import type { Body } from '../../storage/object-store';

/**
 * A body in parts of one length, the last one shorter: pieces of the array itself, or what is gathered from the chunks of an iterable, at
 * most two parts of which are in memory here. After `next`, `isDone` says whether it gave the last one, which may be empty.
 */
export class PartReader {
  isDone = false;
  private at = 0;
  private readonly chunks: AsyncIterator<Uint8Array> | undefined;
  /** What was taken from the iterable and not given yet. */
  private ahead: Uint8Array[] = [];
  private aheadBytes = 0;
  private isSourceDone = false;

  constructor(
    private readonly body: Body,
    private readonly partBytes: number,
  ) {
    if (!(body instanceof Uint8Array)) this.chunks = body[Symbol.asyncIterator]();
  }

  /** @throws what the iterable throws. */
  async next(): Promise<Uint8Array> {
    return this.body instanceof Uint8Array ? this.piece(this.body) : this.gather();
  }

  /** Tells an iterable that was not read to its end that no more is wanted. */
  async close(): Promise<void> {
    if (this.isSourceDone) return;
    this.isSourceDone = true;
    await this.chunks?.return?.();
  }

  private piece(body: Uint8Array): Uint8Array {
    const piece = body.subarray(this.at, this.at + this.partBytes);
    this.at += piece.byteLength;
    this.isDone = this.at >= body.byteLength;
    return piece;
  }

  /** Reads one byte more than a part, if there is one: only so it knows whether the part is the last. */
  private async gather(): Promise<Uint8Array> {
    while (!this.isSourceDone && this.aheadBytes <= this.partBytes) {
      const step = await this.nextChunk();
      if (step === undefined) break;
      if (step.byteLength === 0) continue;
      this.ahead.push(step);
      this.aheadBytes += step.byteLength;
    }
    const all = Buffer.concat(this.ahead, this.aheadBytes); // a copy: a producer may use its chunk again
    const part = all.subarray(0, this.partBytes);
    const rest = all.subarray(this.partBytes);
    this.ahead = rest.byteLength === 0 ? [] : [rest];
    this.aheadBytes = rest.byteLength;
    this.isDone = this.isSourceDone && rest.byteLength === 0;
    return part;
  }

  private async nextChunk(): Promise<Uint8Array | undefined> {
    try {
      const step = await this.chunks?.next();
      if (step !== undefined && step.done !== true) return step.value;
      this.isSourceDone = true;
      return undefined;
    } catch (error) {
      this.isSourceDone = true; // it has ended itself
      throw error;
    }
  }
}
