import { z } from 'zod';
import { Refusal } from './refusal';

/**
 * How the double can be told to misbehave: by the model name `trouble/<how>`, or for the next calls by its control route.
 * `midway` means after half of the answer's bytes; a number is the status that it answers with.
 */
export const Trouble = z.enum([
  'hang', // never begins to answer
  'hang-midway',
  'reset', // the connection is reset
  'reset-midway',
  'end-early', // half an answer, as if it were the whole of it
  'garbage', // success, and a body that is not of the protocol
  'garbage-midway',
  'slow', // a pause between any two pieces
  '400',
  '401',
  '408',
  '429', // with Retry-After
  '500',
  '503',
  '529',
]);
export type Trouble = z.infer<typeof Trouble>;

const PREFIX = 'trouble/';

/** @returns null for a model that means well. @throws {Refusal} for a trouble that there is not. */
export function troubleOf(model: string): Trouble | null {
  if (!model.startsWith(PREFIX)) return null;
  const trouble = Trouble.safeParse(model.slice(PREFIX.length));
  if (trouble.success) return trouble.data;
  throw new Refusal(
    404,
    `expected one of ${Trouble.options.map((name) => PREFIX + name).join(', ')}`,
  );
}

/** @throws {Refusal} if the trouble is an answer with an error status. */
export function refuseIfTold(trouble: Trouble | null, retryAfterSeconds: number): void {
  const status = Number(trouble);
  if (trouble === null || Number.isNaN(status)) return;
  const headers = status === 429 ? { 'retry-after': String(retryAfterSeconds) } : {};
  const code = status === 429 ? 'rate_limit_exceeded' : null;
  throw new Refusal(status, `told to answer ${status}`, { headers, code });
}
