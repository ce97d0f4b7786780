import { z } from 'zod';
import { Json } from './json';
import { Message } from './message';

/**
 * What a request arm changes of a request, by name; everything else reaches the upstream as the agent sent it. `model` says who is asked:
 * a model name of the gateway's configuration.
 */
export const RequestPatch = z.strictObject({
  model: z
    .string()
    .min(1)
    .refine((name) => !name.startsWith('ratchet/'), 'expected a model of an upstream'),
  /** Put at the end of the system prompt; becomes the system prompt where there is none. */
  systemSuffix: z.string().min(1).optional(),
  /** Few-shot examples: messages that are put before the conversation, behind the system prompt. */
  examples: z.array(Message).min(1).optional(),
  /** A function that the request does not offer masks the arm, as does anything but `none` where it offers no tools. */
  toolChoice: z
    .union([z.enum(['none', 'auto', 'required']), z.strictObject({ function: z.string().min(1) })])
    .optional(),
  /** Of the upstream's sampling. */
  temperature: z.number().min(0).max(2).optional(),
});
export type RequestPatch = z.infer<typeof RequestPatch>;

/**
 * One of the fixed ways in which a choice policy deals with a request.
 *
 * - A `tool` arm answers by itself, with one call of the named tool; it is masked when the request does not offer that tool. In
 *   the arguments, the string `{{input}}` stands for the text of the last user message.
 * - A `request` arm has an upstream answer, under a patch. It is masked where the gateway has no such model.
 *
 * A policy with both is a cascade: it answers what it knows, and asks about the rest.
 */
export const Arm = z.discriminatedUnion('kind', [
  z.strictObject({
    kind: z.literal('tool'),
    name: z.string().min(1),
    tool: z.string().min(1),
    arguments: z.record(z.string(), Json).default({ input: '{{input}}' }),
  }),
  z.strictObject({
    kind: z.literal('request'),
    name: z.string().min(1),
    patch: RequestPatch,
  }),
]);
export type Arm = z.infer<typeof Arm>;
export type ToolArm = Extract<Arm, { kind: 'tool' }>;
export type RequestArm = Extract<Arm, { kind: 'request' }>;
