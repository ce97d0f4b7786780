import { z } from 'zod';
import { InvalidInputError } from '../src/errors';

/** Parses an activity's input at its door. @throws {InvalidInputError} naming the path. */
export function parseActivityInput<S extends z.ZodType>(
  schema: S,
  input: unknown,
  activity: string,
): z.output<S> {
  const parsed = schema.safeParse(input);
  if (parsed.success) return parsed.data;
  throw new InvalidInputError(
    `the input of the activity ${activity} is not valid: ${z.prettifyError(parsed.error)}`,
  );
}
