import { resolve } from 'node:path';
import { InvalidInputError } from '../../../src/errors';
import { readEnvironment } from '../../../workers/env';

describe('the environment of a process', () => {
  it('is complete without a single variable', () => {
    expect(readEnvironment({})).toEqual({
      home: resolve('.ratchet'),
      storeRoot: resolve('.ratchet/store'),
      projectModule: 'examples/support-desk/project',
      taskQueue: 'ratchet',
      roles: ['control', 'rollout', 'gpu'],
      threads: 2,
      stateEvery: 500,
      gateway: { host: '127.0.0.1', port: 8787 },
      rolloutGateway: { host: '127.0.0.1', url: null },
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
      RATCHET_STATE_EVERY: '10',
      RATCHET_GATEWAY_HOST: '0.0.0.0',
      RATCHET_GATEWAY_PORT: '0',
      RATCHET_ROLLOUT_HOST: '0.0.0.0',
      RATCHET_ROLLOUT_URL: 'http://rollout-1/',
      PATH: '/usr/bin',
    });
    expect(env).toEqual({
      ...{ home: '/var/ratchet', storeRoot: '/mnt/store', projectModule: './mine' },
      ...{ taskQueue: 'second', roles: ['gpu', 'rollout'], threads: 8, stateEvery: 10 },
      gateway: { host: '0.0.0.0', port: 0 },
      rolloutGateway: { host: '0.0.0.0', url: 'http://rollout-1' },
    });
  });

  it('keeps its store in its home', () => {
    expect(readEnvironment({ RATCHET_HOME: '/var/ratchet' }).storeRoot).toBe('/var/ratchet/store');
  });

  it.each([
    ['RATCHET_HOME', ''],
    ['RATCHET_STORE', 's3://bucket'],
    ['RATCHET_STORE', 'file:'],
    ['RATCHET_TASK_QUEUE', ''],
    ['RATCHET_ROLES', 'control,trainer'],
    ['RATCHET_ROLES', ' , '],
    ['RATCHET_THREADS', 'many'],
    ['RATCHET_THREADS', '0'],
    ['RATCHET_STATE_EVERY', '1.5'],
    ['RATCHET_GATEWAY_PORT', '65536'],
    ['RATCHET_GATEWAY_PORT', '-1'],
    ['RATCHET_GATEWAY_PORT', ''], // would pick a port by chance
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
