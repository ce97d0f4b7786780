import { z } from 'zod';
import type { Metric } from '../src/gateway/metrics/prometheus-text';

// What the processes of a gateway say to the one that started them, and it to them.

const Metrics = z.array(
  z.custom<Metric>((value) => typeof value === 'object' && value !== null, 'expected a metric'),
);
const Id = z.int();

export const FromProcess = z.discriminatedUnion('type', [
  /** It listens. */
  z.strictObject({ type: z.literal('ready'), url: z.string() }),
  /** It was asked for the metrics of all. */
  z.strictObject({ type: z.literal('gather'), id: Id }),
  /** What it has counted itself, as it was told to report. */
  z.strictObject({ type: z.literal('reported'), id: Id, metrics: Metrics }),
]);
export type FromProcess = z.infer<typeof FromProcess>;

export const ToProcess = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('report'), id: Id }),
  z.strictObject({
    type: z.literal('gathered'),
    id: Id,
    metrics: Metrics,
    processes: z.strictObject({
      running: z.int(),
      expected: z.int(),
      isStarting: z.boolean(),
    }),
  }),
]);
export type ToProcess = z.infer<typeof ToProcess>;
