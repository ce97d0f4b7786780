/** JSON, a text or bytes as they are, or a text that comes in pieces, each sent as soon as it is there. */
export type Answer = JsonAnswer | TextAnswer | BytesAnswer | StreamAnswer;

interface AnswerHead {
  /** @default 200 */
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
}
export interface JsonAnswer extends AnswerHead {
  readonly body: unknown;
}
export interface TextAnswer extends AnswerHead {
  readonly text: string;
  readonly contentType: string;
}
export interface BytesAnswer extends AnswerHead {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly contentType: string;
}
/** Server-sent events. What throws while they come breaks the connection off, so that nobody takes a part for the whole. */
export interface StreamAnswer extends AnswerHead {
  readonly events: AsyncIterable<string>;
}
