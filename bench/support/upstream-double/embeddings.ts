import { createHash } from 'node:crypto';
import { z } from 'zod';
import type { DoubleProtocol } from './protocol';
import { check } from './refusal';
import { cut } from './think';

const Ids = z.array(z.int().min(0)).min(1);
const EmbeddingsRequest = z.strictObject({
  model: z.string().min(1),
  input: z.union([z.string().min(1), z.array(z.string().min(1)).min(1), Ids, z.array(Ids).min(1)]),
  encoding_format: z.enum(['float', 'base64']).optional(),
  dimensions: z.int().min(1).max(3_072).optional(),
  user: z.string().optional(),
});

const DIMENSIONS = 8;

/** Embeddings; base64 is that of little-endian float32. Source: https://platform.openai.com/docs/api-reference/embeddings */
export const embeddings: DoubleProtocol = {
  answer(body) {
    const request = check(EmbeddingsRequest, body);
    const { input, model, dimensions = DIMENSIONS, encoding_format: format } = request;
    const isOne = typeof input === 'string' || typeof input[0] === 'number';
    const inputs = isOne ? [input] : input;
    const tokens = inputs.reduce<number>(
      (sum, one) => sum + (typeof one === 'string' ? cut(one).length : (one as unknown[]).length),
      0,
    );
    const data = inputs.map((one, index) => {
      const vector = vectorOf(JSON.stringify(one), dimensions);
      const embedding =
        format === 'base64' ? Buffer.from(vector.buffer).toString('base64') : [...vector];
      return { object: 'embedding', index, embedding };
    });
    const usage = { prompt_tokens: tokens, total_tokens: tokens };
    return { model, content: { kind: 'json', body: { object: 'list', data, model, usage } } };
  },
};

/** Of length 1; the same text has the same. */
function vectorOf(text: string, dimensions: number): Float32Array {
  const vector = Float32Array.from({ length: dimensions }, (_, i) => {
    const hash = createHash('sha256').update(`${i} ${text}`).digest();
    return hash.readInt16BE(0) / 32_768;
  });
  const length = Math.hypot(...vector) || 1;
  return vector.map((value) => value / length);
}
