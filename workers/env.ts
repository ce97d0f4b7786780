import { resolve } from 'node:path';
import { z } from 'zod';
import { InvalidInputError } from '../src/errors';
import { DEFAULT_TASK_QUEUE } from '../src/loop/task-queues';
import { checkGatewayAddress, type GatewayAddress } from '../src/rollouts/gateway-address';
import { packageRoot } from '../src/adapters/dist-path';

/** What a worker process may be asked to do. */
export const Role = z.enum(['control', 'rollout', 'gpu']);
export type Role = z.infer<typeof Role>;

const list = (separated: string): string[] =>
  separated
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '');

/** Not `z.coerce`: it takes an empty variable for 0. */
const whole = z
  .string()
  .regex(/^\d{1,9}$/, 'expected a whole number')
  .transform(Number);

/**
 * Ratchet's environment variables. Temporal's own (TEMPORAL_ADDRESS, TEMPORAL_NAMESPACE, TLS, profiles) are those of the
 * `temporal` CLI and are read by @temporalio/envconfig.
 */
const Variables = z.object({
  RATCHET_HOME: z
    .string()
    .min(1)
    .default('.ratchet')
    .describe('Folder of databases, logs, keys and the local store.'),
  RATCHET_STORE: z
    .string()
    .regex(/^file:.+/, 'expected file:<folder>')
    .optional()
    .describe('The object store; file:$RATCHET_HOME/store when unset.'),
  RATCHET_PROJECT: z
    .string()
    .min(1)
    .default('examples/support-desk/project')
    .describe(
      'Module that exports `project`: a path, or relative to the current folder, else to Ratchet’s own.',
    ),
  RATCHET_TASK_QUEUE: z
    .string()
    .min(1)
    .default(DEFAULT_TASK_QUEUE)
    .describe('Queue of the workflows.'),
  RATCHET_ROLES: z
    .string()
    .default('control,rollout,gpu')
    .transform(list)
    .pipe(z.array(Role).min(1))
    .describe('What this worker process does.'),
  RATCHET_THREADS: whole
    .pipe(z.number().min(1).max(256))
    .default(2)
    .describe('Threads of model compute.'),
  RATCHET_STATE_EVERY: whole
    .pipe(z.number().min(1))
    .default(500)
    .describe('Optimizer steps between two resumable states of a training.'),
  RATCHET_GATEWAY_HOST: z.string().default('127.0.0.1').describe('Address the gateway listens on.'),
  RATCHET_GATEWAY_PORT: whole
    .pipe(z.number().max(65_535))
    .default(8787)
    .describe('Its port; 0 picks one.'),
  RATCHET_ROLLOUT_HOST: z
    .string()
    .min(1)
    .default('127.0.0.1')
    .describe('Address that the gateways of rollout batches listen on.'),
  RATCHET_ROLLOUT_URL: z
    .string()
    .min(1)
    .optional()
    .describe(
      'How agents reach this worker, http://<host> without a port; the host above when unset.',
    ),
});

export interface Environment {
  readonly home: string;
  readonly storeRoot: string;
  readonly projectModule: string;
  readonly taskQueue: string;
  readonly roles: readonly Role[];
  readonly threads: number;
  readonly stateEvery: number;
  readonly gateway: { readonly host: string; readonly port: number };
  readonly rolloutGateway: GatewayAddress;
}

/** @throws {InvalidInputError} naming the variable. */
export function readEnvironment(variables: NodeJS.ProcessEnv): Environment {
  const parsed = Variables.safeParse(variables);
  if (!parsed.success) {
    throw new InvalidInputError(`the environment is not valid:\n${z.prettifyError(parsed.error)}`);
  }
  const env = parsed.data;
  const home = resolve(env.RATCHET_HOME);
  return {
    home,
    storeRoot:
      env.RATCHET_STORE === undefined
        ? resolve(home, 'store')
        : resolve(env.RATCHET_STORE.slice('file:'.length)),
    projectModule: env.RATCHET_PROJECT,
    taskQueue: env.RATCHET_TASK_QUEUE,
    roles: env.RATCHET_ROLES,
    threads: env.RATCHET_THREADS,
    stateEvery: env.RATCHET_STATE_EVERY,
    gateway: { host: env.RATCHET_GATEWAY_HOST, port: env.RATCHET_GATEWAY_PORT },
    rolloutGateway: checkGatewayAddress({
      host: env.RATCHET_ROLLOUT_HOST,
      url: env.RATCHET_ROLLOUT_URL ?? null,
    }),
  };
}

/** Where a project module may be: as given, from the current folder, or one that ships with Ratchet. */
export function projectCandidates(projectModule: string): string[] {
  return [resolve(projectModule), resolve(packageRoot(), 'dist', projectModule)];
}
