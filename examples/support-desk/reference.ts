import { z } from 'zod';
import { InvalidInputError } from '../../src/errors';

/** What only the simulated customer and the scorers know of a query: what it was about; null: nothing that a tool handles. */
export const DeskReference = z.strictObject({ intent: z.string().min(1).nullable() });
export type DeskReference = z.infer<typeof DeskReference>;

/** @throws {InvalidInputError} for what is not a reference of this dataset. */
export function parseReference(reference: unknown): DeskReference {
  const parsed = DeskReference.safeParse(reference);
  if (parsed.success) return parsed.data;
  throw new InvalidInputError(
    'the reference of a support-desk task: expected {"intent": "…"} or {"intent": null}',
    {
      cause: parsed.error,
    },
  );
}
