import { z } from 'zod';
import { Digest } from './ids';

/** How a decision was sampled; one member per kind of policy. */
export const Sampled = z.discriminatedUnion('kind', [
  z.strictObject({
    kind: z.literal('arm'),
    arm: z.string(),
    /** π(arm | request) after masking, temperature and exploration floor: exactly the probability that it was drawn with. */
    propensity: z.number().positive().max(1),
    /** How many arms the request could take. */
    available: z.int().positive(),
  }),
]);
export type Sampled = z.infer<typeof Sampled>;

/** Temperature 0 takes the most probable arm; 1 samples from the policy as it is. */
export const Sampling = z.strictObject({ temperature: z.number().min(0).max(10) });
export type Sampling = z.infer<typeof Sampling>;

/** One model call: what was asked, what was sampled, by which checkpoint. Messages are held by id in the segment. */
export const Decision = z.strictObject({
  /** The response id that the agent was given (`chatcmpl-…`). */
  id: z.string().min(1),
  /** From 1, in the order in which the session's calls were answered. */
  sequence: z.int().positive(),
  policy: z.string(),
  checkpoint: Digest,
  /** Ids of the request's messages, oldest first. */
  context: z.array(z.string()),
  /** Id of the request's tools; null when it had none. */
  toolset: z.string().nullable(),
  /** Id of the answer's message. */
  output: z.string(),
  sampled: Sampled,
  sampling: Sampling,
  usage: z.strictObject({ promptTokens: z.int().min(0), completionTokens: z.int().min(0) }),
  latencyMs: z.number().min(0),
  at: z.iso.datetime(),
});
export type Decision = z.infer<typeof Decision>;
