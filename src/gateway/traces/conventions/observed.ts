import type { Message, Tool } from '../../../schemas/message';
import type { JsonTexts } from '../json-texts';
import type { OtlpSpan } from '../otlp-span';

/** What one way of writing calls into spans says of the messages of a call. */
export interface Said {
  /** Oldest first. */
  readonly input: readonly Message[];
  /** One for each choice. */
  readonly output: readonly Message[];
  readonly finishReason: string | null;
  readonly tools: readonly Tool[];
}

/**
 * @returns null where the span says nothing in this way.
 * @throws {UnusableSpan} where what it says cannot be read.
 */
export type Convention = (span: OtlpSpan, json: JsonTexts) => Said | null;
