import { join, resolve } from 'node:path';
import { z } from 'zod';
import { InvalidInputError } from '../src/errors';
import { Duration, durationMs } from '../src/schemas/duration';
import { DEFAULT_TASK_QUEUE } from '../src/loop/task-queues';
import { toBlockList, type Exposure } from '../src/gateway/http/exposure';
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

/** A bucket's name is of DNS's characters; the prefix is made of what keys are made of, which the store checks. */
const STORE = /^(?:file:.+|s3:\/\/([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:\/(.*?))?\/?)$/;
/** Set to nothing is not set: compose files hand on variables that may be empty. */
const optional = <S extends z.ZodType>(schema: S): z.ZodType<z.output<S> | undefined> =>
  z.preprocess((value) => (value === '' ? undefined : value), schema.optional());

/** Names of deployments and builds, as Temporal takes them; the two are joined by a dot there. */
const DeploymentName = z
  .string()
  .regex(/^[A-Za-z0-9_-]{1,100}$/, 'expected letters, digits, - and _');
const BuildId = z.string().regex(/^[A-Za-z0-9._-]{1,100}$/, 'expected letters, digits, ., - and _');

const LOG_LEVELS = ['debug', 'info', 'warn', 'error'] as const;

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
  RATCHET_CACHE: optional(z.string()).describe(
    'Folder of the servers that were downloaded or built; $XDG_CACHE_HOME, else ~/.cache, when unset.',
  ), // read by workers/servers/server-cache.ts
  RATCHET_STORE: z
    .string()
    .regex(STORE, 'expected file:<folder> or s3://<bucket>[/<prefix>]')
    .optional()
    .describe(
      'The object store, file:<folder> or s3://<bucket>[/<prefix>]; file:$RATCHET_HOME/store when unset.',
    ),
  RATCHET_S3_ENDPOINT: z
    .url({ protocol: /^https?$/ })
    .optional()
    .describe(
      'The server of an s3:// store, where it is not AWS. Region and credentials are AWS’s own variables and profiles.',
    ),
  RATCHET_S3_PATH_STYLE: z
    .enum(['true', 'false'])
    .transform((value) => value === 'true')
    .optional()
    .describe(
      'true: <endpoint>/<bucket>; false: <bucket>.<endpoint>. When unset, true where there is an endpoint.',
    ),
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
    .describe('What this worker process does; `--roles` goes before it.'),
  RATCHET_THREADS: whole
    .pipe(z.number().min(1).max(256))
    .default(2)
    .describe('Threads of a training, and of a language model.'),
  RATCHET_EXECUTION_PROVIDERS: z
    .string()
    .default('cpu')
    .transform(list)
    .pipe(z.array(z.string().min(1)).min(1))
    .describe(
      'Where language models run, in order of preference: cpu, webgpu, cuda, coreml, dml. What is not there is an error.',
    ),
  RATCHET_LANGUAGE_SLOTS: whole
    .pipe(z.number().min(1).max(1024))
    .default(16)
    .describe('Answers that a language model writes at once.'),
  RATCHET_LANGUAGE_CONTEXT: whole
    .pipe(z.number().min(16))
    .default(4096)
    .describe('Tokens that a conversation with a language model may have, where the model can.'),
  RATCHET_LANGUAGE_MODELS: whole
    .pipe(z.number().min(1).max(64))
    .default(2)
    .describe('Checkpoints of language models that a process keeps in memory.'),
  RATCHET_STATE_EVERY: whole
    .pipe(z.number().min(1))
    .default(500)
    .describe('Optimizer steps between two resumable states of a training.'),
  RATCHET_SPOOL: z
    .string()
    .min(1)
    .optional()
    .describe(
      'Folder on local disk where live calls are until they are in the store; $RATCHET_HOME/spool when unset.',
    ),
  RATCHET_SPOOL_MAX_BYTES: z
    .string()
    .regex(/^\d{1,15}$/, 'expected a whole number')
    .transform(Number)
    .pipe(z.number().min(1))
    .default(2 ** 30)
    .describe('When so many bytes are in it, live calls are answered without being recorded.'),
  RATCHET_SPOOL_SECONDS: whole
    .pipe(z.number().min(1))
    .default(30)
    .describe('How many seconds a live call may be in it while the store is up.'),
  RATCHET_GATEWAY_CONFIG: optional(z.string()).describe(
    'JSON file with upstreams and the model names that they answer for; none when unset.',
  ),
  // Without `min` an empty one would mean every address of the machine.
  RATCHET_GATEWAY_HOST: z
    .string()
    .min(1)
    .default('127.0.0.1')
    .describe('Address the gateway listens on.'),
  RATCHET_GATEWAY_PORT: whole
    .pipe(z.number().max(65_535))
    .default(8787)
    .describe('Its port; 0 picks one.'),
  RATCHET_GATEWAY_PROCESSES: whole
    .pipe(z.number().min(1).max(64))
    .default(1)
    .describe('How many processes share the gateway’s port, each with its own spool folder.'),
  RATCHET_GATEWAY_TLS_CERT: optional(z.string()).describe(
    'PEM file of its certificate, with those between it and the root. It speaks https then; needed beyond loopback unless a proxy encrypts.',
  ),
  RATCHET_GATEWAY_TLS_KEY: optional(z.string()).describe('PEM file of the certificate’s key.'),
  RATCHET_GATEWAY_TRUSTED_PROXY: optional(z.string()).describe(
    'Addresses and networks of the proxy that encrypts in front of it, joined by commas. Nobody else but this machine may connect then.',
  ),
  RATCHET_SHUTDOWN_GRACE: Duration.default('20s')
    .transform(durationMs)
    .pipe(z.number().min(1_000, 'expected at least 1s'))
    .describe(
      'How long a worker that was told to stop may take to hand its work over, and a gateway to finish its calls.',
    ),
  RATCHET_DEPLOYMENT: optional(DeploymentName).describe(
    'Worker versioning: the name of the deployment. Off when unset; goes with RATCHET_BUILD_ID.',
  ),
  RATCHET_BUILD_ID: optional(BuildId).describe('Worker versioning: the version of this code.'),
  RATCHET_METRICS: optional(
    z
      .string()
      .regex(/^[^\s:]+:\d{1,5}$|^\[[0-9a-f:]+\]:\d{1,5}$/, 'expected <address>:<port>')
      .refine(
        (address) => Number(/\d+$/.exec(address)?.[0]) <= 65_535,
        'expected a port up to 65535',
      ),
  ).describe('Where a worker serves Prometheus metrics, e.g. 127.0.0.1:9464. Off when unset.'),
  RATCHET_LOG: z
    .enum(['text', 'json'])
    .default('text')
    .describe('Form of the log, on stderr: text, json.'),
  RATCHET_LOG_LEVEL: z
    .enum(LOG_LEVELS)
    .default('info')
    .describe(`The least that is logged: ${LOG_LEVELS.join(', ')}.`),
  RATCHET_HEALTH_FILE: optional(z.string()).describe(
    'File in which a worker says every few seconds how it is, for `ratchet health`. Off when unset.',
  ),
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

/** Where the objects are. Credentials are in none of our settings: the S3 SDK finds them. */
export type StoreLocation =
  | { readonly kind: 'file'; readonly root: string }
  | {
      readonly kind: 's3';
      readonly bucket: string;
      readonly prefix: string | undefined;
      readonly endpoint: string | undefined;
      readonly pathStyle: boolean | undefined;
    };

/** As Exposure of src/gateway/http/exposure.ts, with files that were not read yet. */
export type GatewayExposure =
  | { readonly kind: 'tls'; readonly certPath: string; readonly keyPath: string }
  | Extract<Exposure, { kind: 'proxies' }>;

export interface LogSettings {
  readonly format: 'text' | 'json';
  readonly level: (typeof LOG_LEVELS)[number];
}

export interface Environment {
  readonly home: string;
  readonly store: StoreLocation;
  readonly projectModule: string;
  readonly taskQueue: string;
  readonly roles: readonly Role[];
  readonly threads: number;
  readonly language: {
    readonly executionProviders: readonly string[];
    readonly slots: number;
    readonly contextLength: number;
    readonly maxLoaded: number;
  };
  readonly stateEvery: number;
  readonly spool: { readonly root: string; readonly maxBytes: number; readonly maxAgeMs: number };
  readonly gateway: {
    readonly host: string;
    readonly port: number;
    readonly processes: number;
    /** Why it is safe to listen beyond loopback; null: nobody says so. */
    readonly exposure: GatewayExposure | null;
  };
  /** Path of the gateway's configuration file. */
  readonly gatewayConfig: string | null;
  readonly shutdownGraceMs: number;
  /** Worker versioning; null: off. */
  readonly deployment: { readonly name: string; readonly buildId: string } | null;
  /** Address and port of the metrics; null: off. */
  readonly metrics: string | null;
  readonly log: LogSettings;
  readonly healthFile: string | null;
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
    store: storeLocation(env, home),
    projectModule: env.RATCHET_PROJECT,
    taskQueue: env.RATCHET_TASK_QUEUE,
    roles: env.RATCHET_ROLES,
    threads: env.RATCHET_THREADS,
    language: {
      executionProviders: env.RATCHET_EXECUTION_PROVIDERS,
      slots: env.RATCHET_LANGUAGE_SLOTS,
      contextLength: env.RATCHET_LANGUAGE_CONTEXT,
      maxLoaded: env.RATCHET_LANGUAGE_MODELS,
    },
    stateEvery: env.RATCHET_STATE_EVERY,
    spool: {
      root: resolve(env.RATCHET_SPOOL ?? join(home, 'spool')),
      maxBytes: env.RATCHET_SPOOL_MAX_BYTES,
      maxAgeMs: env.RATCHET_SPOOL_SECONDS * 1_000,
    },
    gateway: {
      host: env.RATCHET_GATEWAY_HOST,
      port: env.RATCHET_GATEWAY_PORT,
      processes: env.RATCHET_GATEWAY_PROCESSES,
      exposure: exposureOf(env),
    },
    gatewayConfig:
      env.RATCHET_GATEWAY_CONFIG === undefined ? null : resolve(env.RATCHET_GATEWAY_CONFIG),
    shutdownGraceMs: env.RATCHET_SHUTDOWN_GRACE,
    deployment: deploymentOf(env),
    metrics: env.RATCHET_METRICS ?? null,
    log: { format: env.RATCHET_LOG, level: env.RATCHET_LOG_LEVEL },
    healthFile: env.RATCHET_HEALTH_FILE ?? null,
    rolloutGateway: checkGatewayAddress({
      host: env.RATCHET_ROLLOUT_HOST,
      url: env.RATCHET_ROLLOUT_URL ?? null,
    }),
  };
}

function storeLocation(env: z.infer<typeof Variables>, home: string): StoreLocation {
  const store = env.RATCHET_STORE;
  if (store === undefined) return { kind: 'file', root: resolve(home, 'store') };
  const [, bucket, prefix] = STORE.exec(store) ?? [];
  if (bucket === undefined) return { kind: 'file', root: resolve(store.slice('file:'.length)) };
  return {
    kind: 's3',
    bucket,
    prefix: prefix === '' ? undefined : prefix,
    endpoint: env.RATCHET_S3_ENDPOINT,
    pathStyle: env.RATCHET_S3_PATH_STYLE,
  };
}

function exposureOf({
  RATCHET_GATEWAY_TLS_CERT: certPath,
  RATCHET_GATEWAY_TLS_KEY: keyPath,
  RATCHET_GATEWAY_TRUSTED_PROXY: proxy,
}: z.output<typeof Variables>): GatewayExposure | null {
  if ((certPath === undefined) !== (keyPath === undefined)) {
    throw new InvalidInputError(
      'the environment is not valid: RATCHET_GATEWAY_TLS_CERT and RATCHET_GATEWAY_TLS_KEY go together; set both, or neither',
    );
  }
  const [first, ...others] = list(proxy ?? '');
  if (certPath !== undefined && keyPath !== undefined) {
    if (first === undefined)
      return { kind: 'tls', certPath: resolve(certPath), keyPath: resolve(keyPath) };
    throw new InvalidInputError(
      'the environment is not valid: RATCHET_GATEWAY_TRUSTED_PROXY is for a gateway without TLS; unset it, or RATCHET_GATEWAY_TLS_CERT and _KEY',
    );
  }
  if (first === undefined) return null;
  toBlockList([first, ...others]);
  return { kind: 'proxies', addresses: [first, ...others] };
}

function deploymentOf({
  RATCHET_DEPLOYMENT: name,
  RATCHET_BUILD_ID: buildId,
}: z.output<typeof Variables>): Environment['deployment'] {
  if (name === undefined && buildId === undefined) return null;
  if (name !== undefined && buildId !== undefined) return { name, buildId };
  throw new InvalidInputError(
    'the environment is not valid: RATCHET_DEPLOYMENT and RATCHET_BUILD_ID go together; set both, or neither',
  );
}

export interface VariableHelp {
  readonly name: string;
  /** As it would be written; null: unset. */
  readonly default: string | null;
  readonly description: string;
}

/** What `ratchet env` prints, and docs/operations.md shows. */
export function environmentHelp(): VariableHelp[] {
  const unset = Variables.parse({});
  const { properties = {} } = z.toJSONSchema(Variables, { io: 'input', unrepresentable: 'any' });
  return Object.entries(Variables.shape).map(([name, { description = '' }]) => {
    const { default: text } = properties[name] as { readonly default?: string };
    const value = text ?? unset[name as keyof typeof unset];
    const isWritten = typeof value === 'string' || typeof value === 'number';
    return { name, default: isWritten ? String(value) : null, description };
  });
}

/** The same as a Markdown table. */
export function environmentTable(): string {
  const rows = environmentHelp().map(
    (one) =>
      `| \`${one.name}\` | ${one.default === null ? '' : `\`${one.default}\``} | ${one.description} |`,
  );
  return ['| variable | default | what it says |', '| --- | --- | --- |', ...rows].join('\n');
}

/** Where a project module may be: as given, from the current folder, or one that ships with Ratchet. */
export function projectCandidates(projectModule: string): string[] {
  return [resolve(projectModule), resolve(packageRoot(), 'dist', projectModule)];
}
