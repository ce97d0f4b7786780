import { ApplicationFailure } from '@temporalio/workflow';
import { z } from 'zod';

/**
 * Parses a workflow's input. A bad one fails the workflow at once and names the path; a plain throw here would fail the
 * workflow task instead, which Temporal retries for ever.
 */
export function parseInput<S extends z.ZodType>(
  schema: S,
  input: unknown,
  what: string,
): z.output<S> {
  const parsed = schema.safeParse(input);
  if (parsed.success) return parsed.data;
  throw ApplicationFailure.nonRetryable(
    `${what} is not valid:\n${z.prettifyError(parsed.error)}`,
    'InvalidInput',
  );
}
