import { z } from 'zod';

export type Json =
  null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

/** Any JSON value. Numbers are finite by definition of JSON. */
export const Json = z.json() as unknown as z.ZodType<Json>;
