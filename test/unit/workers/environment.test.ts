import { resolve } from 'node:path';
import { InvalidInputError } from '../../../src/errors';
import { readEnvironment } from '../../../workers/env';

describe('the environment of a process', () => {
  it('is complete without a single variable', () => {
    expect(readEnvironment({})).toEqual({
      home: resolve('.ratchet'),
      store: { kind: 'file', root: resolve('.ratchet/store') },
      projectModule: 'examples/support-desk/project',
      taskQueue: 'ratchet',
      roles: ['control', 'rollout', 'gpu'],
      threads: 2,
      language: { executionProviders: ['cpu'], slots: 16, contextLength: 4096, maxLoaded: 2 },
      stateEvery: 500,
      spool: { root: resolve('.ratchet/spool'), maxBytes: 2 ** 30, maxAgeMs: 30_000 },
      gateway: { host: '127.0.0.1', port: 8787, processes: 1, exposure: null },
      gatewayConfig: null,
      rolloutGateway: { host: '127.0.0.1', url: null },
      ...{ shutdownGraceMs: 20_000, deployment: null, metrics: null, healthFile: null },
      log: { format: 'text', level: 'info' },
    });
  });

  it('takes what is set', () => {
    const env = readEnvironment({
      RATCHET_HOME: '/var/ratchet',
      RATCHET_STORE: 'file:/mnt/store',
      RATCHET_PROJECT: './mine',
      RATCHET_TASK_QUEUE: 'second',
      RATCHET_ROLES: ' gpu , rollout,',
      RATCHET_THREADS: '8',
      RATCHET_EXECUTION_PROVIDERS: 'cuda, cpu',
      RATCHET_LANGUAGE_SLOTS: '4',
      RATCHET_LANGUAGE_CONTEXT: '512',
      RATCHET_LANGUAGE_MODELS: '1',
      RATCHET_STATE_EVERY: '10',
      RATCHET_SPOOL: '/mnt/spool',
      RATCHET_SPOOL_MAX_BYTES: '12345678901',
      RATCHET_SPOOL_SECONDS: '5',
      RATCHET_GATEWAY_CONFIG: '/etc/ratchet/gateway.json',
      RATCHET_GATEWAY_HOST: '0.0.0.0',
      RATCHET_GATEWAY_PORT: '0',
      RATCHET_GATEWAY_PROCESSES: '4',
      RATCHET_GATEWAY_TRUSTED_PROXY: '10.0.0.7',
      RATCHET_ROLLOUT_HOST: '0.0.0.0',
      RATCHET_ROLLOUT_URL: 'http://rollout-1/',
      RATCHET_SHUTDOWN_GRACE: '1m',
      RATCHET_DEPLOYMENT: 'desk',
      RATCHET_BUILD_ID: '2026-11',
      RATCHET_METRICS: '127.0.0.1:9464',
      RATCHET_HEALTH_FILE: '/run/ratchet',
      RATCHET_LOG: 'json',
      RATCHET_LOG_LEVEL: 'warn',
      PATH: '/usr/bin',
    });
    expect(env).toEqual({
      ...{ home: '/var/ratchet', store: { kind: 'file', root: '/mnt/store' } },
      ...{ projectModule: './mine' },
      ...{ taskQueue: 'second', roles: ['gpu', 'rollout'], threads: 8, stateEvery: 10 },
      language: {
        ...{ executionProviders: ['cuda', 'cpu'], slots: 4, contextLength: 512, maxLoaded: 1 },
      },
      spool: { root: '/mnt/spool', maxBytes: 12_345_678_901, maxAgeMs: 5_000 },
      gateway: {
        ...{ host: '0.0.0.0', port: 0, processes: 4 },
        exposure: { kind: 'proxies', addresses: ['10.0.0.7'] },
      },
      gatewayConfig: '/etc/ratchet/gateway.json',
      rolloutGateway: { host: '0.0.0.0', url: 'http://rollout-1' },
      ...{ shutdownGraceMs: 60_000, metrics: '127.0.0.1:9464', healthFile: '/run/ratchet' },
      deployment: { name: 'desk', buildId: '2026-11' },
      log: { format: 'json', level: 'warn' },
    });
  });

  it('takes what is optional and set to nothing for not set, as compose files hand it on', () => {
    const nothing = {
      ...{ RATCHET_DEPLOYMENT: '', RATCHET_BUILD_ID: '', RATCHET_METRICS: '' },
      RATCHET_HEALTH_FILE: '',
    };
    expect(readEnvironment(nothing)).toEqual(readEnvironment({}));
  });

  it('wants the deployment and its version together', () => {
    for (const one of [{ RATCHET_DEPLOYMENT: 'ratchet' }, { RATCHET_BUILD_ID: '1' }]) {
      expect(() => readEnvironment(one)).toThrow('RATCHET_DEPLOYMENT and RATCHET_BUILD_ID');
    }
  });

  it('keeps its store in its home', () => {
    expect(readEnvironment({ RATCHET_HOME: '/var/ratchet' }).store).toEqual({
      kind: 'file',
      root: '/var/ratchet/store',
    });
  });

  const NOTHING = { prefix: undefined, endpoint: undefined, pathStyle: undefined };
  it.each([
    [{ RATCHET_STORE: 's3://bucket' }, { bucket: 'bucket' }],
    [{ RATCHET_STORE: 's3://my.bucket-1/' }, { bucket: 'my.bucket-1' }],
    [{ RATCHET_STORE: 's3://bucket/team/rl/' }, { bucket: 'bucket', prefix: 'team/rl' }],
    [
      {
        RATCHET_STORE: 's3://bucket',
        RATCHET_S3_ENDPOINT: 'http://127.0.0.1:9000',
        RATCHET_S3_PATH_STYLE: 'false',
      },
      { bucket: 'bucket', endpoint: 'http://127.0.0.1:9000', pathStyle: false },
    ],
  ])('keeps its store in a bucket: %j', (variables, location) => {
    expect(readEnvironment(variables).store).toEqual({ kind: 's3', ...NOTHING, ...location });
  });

  it.each([
    ['RATCHET_HOME', ''],
    ['RATCHET_STORE', 's3://'],
    ['RATCHET_STORE', 's3://Bucket'],
    ['RATCHET_STORE', 'gs://bucket'],
    ['RATCHET_S3_ENDPOINT', 'localhost:9000'],
    ['RATCHET_S3_PATH_STYLE', 'yes'],
    ['RATCHET_STORE', 'file:'],
    ['RATCHET_TASK_QUEUE', ''],
    ['RATCHET_ROLES', 'control,trainer'],
    ['RATCHET_ROLES', ' , '],
    ['RATCHET_THREADS', 'many'],
    ['RATCHET_THREADS', '0'],
    ['RATCHET_EXECUTION_PROVIDERS', ','],
    ['RATCHET_LANGUAGE_SLOTS', '0'],
    ['RATCHET_LANGUAGE_CONTEXT', '1'],
    ['RATCHET_LANGUAGE_MODELS', 'all'],
    ['RATCHET_STATE_EVERY', '1.5'],
    ['RATCHET_SPOOL', ''],
    ['RATCHET_SPOOL_MAX_BYTES', '0'],
    ['RATCHET_SPOOL_MAX_BYTES', '1GB'],
    ['RATCHET_SPOOL_SECONDS', '0'],
    ['RATCHET_GATEWAY_PORT', '65536'],
    ['RATCHET_GATEWAY_PORT', '-1'],
    ['RATCHET_GATEWAY_PORT', ''], // would pick a port by chance
    ['RATCHET_GATEWAY_HOST', ''], // would listen on every address of the machine
    ['RATCHET_SHUTDOWN_GRACE', '20'],
    ['RATCHET_SHUTDOWN_GRACE', '10ms'],
    ['RATCHET_DEPLOYMENT', 'my.ratchet'], // the dot joins it with the version
    ['RATCHET_METRICS', '9464'],
    ['RATCHET_METRICS', '127.0.0.1:99999'],
    ['RATCHET_LOG', 'xml'],
    ['RATCHET_LOG_LEVEL', 'verbose'],
    ['RATCHET_ROLLOUT_HOST', ''],
    ['RATCHET_ROLLOUT_HOST', '0.0.0.0'], // where to listen, but not what to tell agents
    ['RATCHET_ROLLOUT_URL', 'rollout-1'],
    ['RATCHET_ROLLOUT_URL', 'http://rollout-1:8080'], // each batch has a port of its own
    ['RATCHET_ROLLOUT_URL', 'http://rollout-1/ratchet'],
  ])('names %s when it is %j', (variable, value) => {
    const read = (): unknown => readEnvironment({ [variable]: value });
    expect(read).toThrow(InvalidInputError);
    expect(read).toThrow(variable);
  });

  it('names every variable that is wrong', () => {
    const read = (): unknown => readEnvironment({ RATCHET_THREADS: '0', RATCHET_HOME: '' });
    expect(read).toThrow(/RATCHET_HOME[\s\S]*RATCHET_THREADS/);
  });
});
