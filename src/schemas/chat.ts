import { z } from 'zod';
import { hasFunction, Message, Tool } from './message';

/** The body of `POST /v1/chat/completions`. Fields that we do not read survive (unknown fields must reach an upstream). */
export const ChatRequest = z.looseObject({
  model: z.string().min(1),
  messages: z.array(Message).min(1),
  tools: z.array(Tool).nullish(),
  tool_choice: z
    .union([
      z.enum(['none', 'auto', 'required']),
      // A function; or `allowed_tools`, `custom` and the like, which are an upstream's business.
      z
        .looseObject({
          type: z.string(),
          function: z.looseObject({ name: z.string() }).optional(),
        })
        .refine(hasFunction, { message: 'expected the function and its name', path: ['function'] }),
    ])
    .nullish(),
  stream: z.boolean().nullish(),
  temperature: z.number().min(0).max(2).nullish(),
  n: z.int().nullish(),
  user: z.string().nullish(),
  metadata: z.record(z.string(), z.unknown()).nullish(),
  safety_identifier: z.string().nullish(),
});
export type ChatRequest = z.infer<typeof ChatRequest>;
