import { z } from 'zod';

/**
 * How the learning rate goes over a training. It rises linearly over the warm-up, then follows its form down to `finalRatio` of the peak at the
 * last step, and stays there.
 */
export const Schedule = z
  .discriminatedUnion('form', [
    z.strictObject({ form: z.literal('constant'), warmUpSteps: z.int().min(0).default(0) }),
    /** Loshchilov & Hutter 2017, arXiv:1608.03983, without restarts; or straight down. */
    z.strictObject({
      form: z.enum(['cosine', 'linear']),
      warmUpSteps: z.int().min(0).default(0),
      /** Of the whole training, the warm-up included. */
      totalSteps: z.int().positive(),
      /** Of the peak. */
      finalRatio: z.number().min(0).max(1).default(0),
    }),
  ])
  .refine(
    (schedule) => schedule.form === 'constant' || schedule.warmUpSteps < schedule.totalSteps,
    { error: 'expected fewer warm-up steps than there are steps', path: ['warmUpSteps'] },
  );
export type Schedule = z.infer<typeof Schedule>;

/** @param step from 0: the first update is made at `learningRateAt(schedule, peak, 0)`, which with a warm-up is 0. */
export function learningRateAt(schedule: Schedule, peak: number, step: number): number {
  const { warmUpSteps } = schedule;
  if (step < warmUpSteps) return (peak * step) / warmUpSteps;
  if (schedule.form === 'constant') return peak;
  const { totalSteps, finalRatio, form } = schedule;
  const progress = Math.min(1, (step - warmUpSteps) / (totalSteps - warmUpSteps));
  const left = form === 'linear' ? 1 - progress : (1 + Math.cos(Math.PI * progress)) / 2;
  return peak * (finalRatio + (1 - finalRatio) * left);
}
