import type { ActivityInterceptors, ActivityInterceptorsFactory } from '@temporalio/worker';
import { ApplicationFailure, CancelledFailure } from '@temporalio/common';
import { z } from 'zod';
import { WORKER_SHUTDOWN } from '../activities/worker-shutdown';
import type { Role } from './env';

/** What the inputs of our activities have in common, where they have it. */
const Place = z.object({ run: z.string().optional(), iteration: z.number().optional() });

/** Puts role, run and iteration on every line that an activity logs, and says when one begins and how it ended. */
export const activityContext =
  (role: Role): ActivityInterceptorsFactory =>
  ({ log }): ActivityInterceptors => {
    let place: z.infer<typeof Place> = {};
    return {
      inbound: {
        async execute(input, next) {
          const parsed = Place.safeParse(input.args[0]);
          if (parsed.success) place = parsed.data;
          const startedAt = performance.now();
          const seconds = (): number => Math.round(performance.now() - startedAt) / 1000;
          log.info('activity begins');
          try {
            const result = await next(input);
            log.info('activity is done', { seconds: seconds() });
            return result;
          } catch (error) {
            if (isHandOver(error)) log.info('activity is handed over', { seconds: seconds() });
            throw error; // the SDK logs a failure, with what failed
          }
        },
      },
      outbound: {
        getLogAttributes: (attributes, next) => next({ ...attributes, role, ...place }),
      },
    };
  };

const isHandOver = (error: unknown): boolean =>
  (error instanceof ApplicationFailure && error.type === WORKER_SHUTDOWN) ||
  (error instanceof CancelledFailure && error.message === 'WORKER_SHUTDOWN');
