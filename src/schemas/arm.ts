import { z } from 'zod';
import { Json } from './json';

/**
 * One of the fixed answers that a choice policy picks from. A `tool` arm answers the request with one call of the named
 * tool; it is masked when the request does not offer that tool. In the arguments, the string `{{input}}` stands for the
 * text of the last user message.
 */
export const Arm = z.discriminatedUnion('kind', [
  z.strictObject({
    kind: z.literal('tool'),
    name: z.string().min(1),
    tool: z.string().min(1),
    arguments: z.record(z.string(), Json).default({ input: '{{input}}' }),
  }),
]);
export type Arm = z.infer<typeof Arm>;
