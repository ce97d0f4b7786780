import { z } from 'zod';
import { PromotionConfig } from '../src/schemas/promotion-config';
import { EvaluationConfig, RunConfig } from '../src/schemas/run-config';

const SCHEMAS = {
  run: RunConfig,
  evaluation: EvaluationConfig,
  promotion: PromotionConfig,
} as const;
export type SchemaName = keyof typeof SCHEMAS;
export const SCHEMA_NAMES = Object.keys(SCHEMAS) as readonly SchemaName[];

/** JSON Schema (draft 2020-12) of what a workflow takes as its input, with defaults and descriptions. */
export function jsonSchema(name: SchemaName): unknown {
  // `input`: what people write, where fields with a default may be left out. Transforms only narrow a type, never a value.
  return z.toJSONSchema(SCHEMAS[name], { io: 'input', unrepresentable: 'any' });
}
