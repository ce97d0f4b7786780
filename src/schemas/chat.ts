import { z } from 'zod';
import { Message, Tool } from './message';

/** The body of `POST /v1/chat/completions`. Fields that we do not read survive (unknown fields must reach an upstream). */
export const ChatRequest = z.looseObject({
  model: z.string().min(1),
  messages: z.array(Message).min(1),
  tools: z.array(Tool).nullish(),
  tool_choice: z
    .union([
      z.enum(['none', 'auto', 'required']),
      z.looseObject({ type: z.literal('function'), function: z.looseObject({ name: z.string() }) }),
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
