import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { builtinModules } from 'node:module';
import { join } from 'node:path';
import Ajv, { type ErrorObject } from 'ajv';
import addFormats from 'ajv-formats';
import { distPath } from '../../../src/adapters/dist-path';
import { durationMs } from '../../../src/schemas/duration';
import { GatewayConfig } from '../../../src/schemas/gateway-config';
import { environmentHelp, readEnvironment, Role } from '../../../workers/env';
import { NODE_FLAGS } from '../../../workers/node-flags';
import {
  composeText,
  interpolate,
  readCompose,
  readDockerfile,
  resolveCompose,
  startOrder,
  variablesOf,
} from '../../helpers/compose-file';

const ROOT = join(__dirname, '../../..');
const SECRETS = { AWS_ACCESS_KEY_ID: 'ratchet', AWS_SECRET_ACCESS_KEY: 'change-me' };
const compose = readCompose();
const resolved = resolveCompose(SECRETS);
const services = Object.entries(resolved.services);
const ours = services.filter(([, { build }]) => build !== undefined);
const stages = readDockerfile();

describe('docker/compose.yaml', () => {
  it.each([
    ['as it is written', compose],
    ['as it is run', resolved],
  ])('fits the schema of the Compose Specification %s', (_, file) => {
    const text = readFileSync(join(__dirname, 'compose-spec.json'), 'utf8');
    const schema = JSON.parse(text) as Record<string, unknown>;
    delete schema['$schema']; // it says https, and ajv knows draft-07 under http
    const ajv = new Ajv({ allErrors: true, strict: false });
    addFormats(ajv);
    ajv.addFormat('subnet_ip_address', true); // the schema's own; no network of ours has one
    const validate = ajv.compile(schema);
    validate(file);
    const errors: ErrorObject[] = validate.errors ?? [];
    expect(errors.map(({ instancePath, message }) => `${instancePath} ${message}`)).toEqual([]);
  });

  it('starts each service after what it needs, and waits until that is ready', () => {
    expect(startOrder(compose)).toEqual([
      ...['temporal', 'minio', 'bucket', 'gateway', 'control', 'rollout', 'gpu'],
    ]);
    const waits = services.flatMap(([name, { depends_on: needs = {} }]) =>
      Object.entries(needs).map(([needed, { condition }]) => [name, needed, condition] as const),
    );
    for (const [name, needed, condition] of waits) {
      expect([name, needed, condition]).not.toContain('service_started'); // says nothing of being ready
      if (condition !== 'service_healthy') continue;
      expect([needed, resolved.services[needed]?.healthcheck]).not.toEqual([needed, undefined]);
    }
  });

  it('checks the health of every service but the one that makes the bucket and ends', () => {
    const unchecked = services.filter(([, { healthcheck }]) => healthcheck === undefined);
    expect(unchecked.map(([name]) => name)).toEqual(['bucket']);
  });

  it('pins every image that it does not build', () => {
    for (const [name, { image, build }] of services) {
      if (build !== undefined) continue;
      expect([name, image]).toEqual([
        name,
        expect.stringMatching(/:(\d+\.\d+\.\d+|RELEASE\.[\dTZ-]+)$/),
      ]);
    }
  });

  it('opens ports on this machine only', () => {
    const ports = services.flatMap(([, { ports: own = [] }]) => own);
    expect(ports.length).toBeGreaterThan(3);
    for (const port of ports) expect(port).toMatch(/^127\.0\.0\.1:(\d+):\1$/);
    expect(new Set(ports).size).toBe(ports.length);
  });

  it('mounts volumes that it declares, and declares those that it mounts', () => {
    const mounted = services.flatMap(([, { volumes = [] }]) =>
      volumes.map((one) => one.split(':')[0]),
    );
    expect([...new Set(mounted)].sort()).toEqual(Object.keys(compose.volumes).sort());
  });

  it('holds no secret, and says which one is missing', () => {
    for (const { name, operator, operand } of variablesOf(composeText())) {
      if (/KEY|SECRET|PASSWORD/.test(name)) {
        expect([name, operator, operand]).toEqual([
          name,
          ':?',
          expect.stringContaining('docker/.env'),
        ]);
      } else {
        expect([name, operator]).toEqual([name, ':-']); // a default, which may be nothing
      }
    }
    expect(() => resolveCompose({})).toThrow('AWS_ACCESS_KEY_ID: set it in docker/.env');
    for (const [name, { environment = {} }] of Object.entries(compose.services)) {
      for (const [variable, value] of Object.entries(environment)) {
        if (/KEY|SECRET|PASSWORD/.test(variable))
          expect([name, value]).toEqual([name, expect.stringMatching(/^\$\{/)]);
      }
    }
  });

  it('asks in .env.example for what must be set, and for nothing that it does not know', () => {
    const example = readFileSync(join(ROOT, 'docker/.env.example'), 'utf8');
    const known = new Set(variablesOf(composeText()).map(({ name }) => name));
    const named = [...example.matchAll(/^(?:# )?([A-Z][A-Z0-9_]+)=/gm)].map(
      ([, name = '']) => name,
    );
    for (const name of named) expect([...known]).toContain(name);
    expect(named).toEqual(expect.arrayContaining(Object.keys(SECRETS)));
  });

  it('sets no variable of ours that nobody reads, and none to what it cannot be', () => {
    const known = environmentHelp().map(({ name }) => name);
    for (const [name, { environment = {} }] of ours) {
      const set = Object.keys(environment).filter((variable) => variable.startsWith('RATCHET_'));
      expect([name, set.filter((variable) => !known.includes(variable))]).toEqual([name, []]);
      expect(() => readEnvironment(environment)).not.toThrow();
    }
    for (const { name } of variablesOf(composeText())) {
      const isOfImages = ['RATCHET_VERSION', 'RATCHET_ROLLOUT_REPLICAS'].includes(name);
      if (name.startsWith('RATCHET_') && !isOfImages) expect(known).toContain(name);
    }
  });

  it('gives processes longer to end than they take to hand over', () => {
    for (const [name, { environment = {}, stop_grace_period: period = '10s' }] of ours) {
      const { shutdownGraceMs } = readEnvironment(environment);
      expect([name, durationMs(period) > shutdownGraceMs]).toEqual([name, true]);
    }
  });

  it('hands the gateway’s configuration and the keys of upstreams to those who answer agents, and to nobody else', () => {
    const answering = services.filter(
      ([, { environment = {}, configs = [], env_file: keys = [] }]) => {
        const path = environment['RATCHET_GATEWAY_CONFIG'];
        const has = [path !== undefined, configs.length > 0, keys.length > 0];
        expect(new Set(has).size).toBe(1);
        if (path === undefined) return false;
        expect(configs).toEqual([{ source: 'gateway', target: path }]);
        expect(keys).toEqual([{ path: 'gateway.env', required: false }]);
        return true;
      },
    );
    expect(answering.map(([name]) => name)).toEqual(['gateway', 'rollout']);

    const { file = '' } = resolved.configs['gateway'] ?? {};
    const example = readFileSync(join(ROOT, 'docker', file), 'utf8');
    expect(GatewayConfig.parse(JSON.parse(example)).upstreams).toEqual({});
    const own = resolveCompose({ ...SECRETS, RATCHET_GATEWAY_CONFIG: '/etc/mine.json' });
    expect(own.configs['gateway']).toEqual({ file: '/etc/mine.json' });
    expect(readFileSync(join(ROOT, '.gitignore'), 'utf8')).toMatch(/^docker\/gateway\.env$/m);
  });

  it('makes the bucket that its workers use', () => {
    const { RATCHET_STORE: store = '' } = resolved.services['control']?.environment ?? {};
    expect(resolved.services['bucket']?.command?.join(' ')).toContain(
      `mc mb --ignore-existing minio/${store.slice('s3://'.length)}`,
    );
  });
});

describe('the services that are ours', () => {
  it.each(ours)(
    '%s is a target of the Dockerfile, with its command and its health check',
    (name, service) => {
      const { target = '', context, dockerfile = '' } = service.build ?? {};
      expect({ target, context }).toEqual({ target: name, context: '..' });
      expect(existsSync(join(ROOT, dockerfile))).toBe(true);
      const stage = stages.get(target);
      expect(service.command).toEqual(stage?.command);
      expect(service.healthcheck?.test).toEqual(['CMD', ...(stage?.healthcheck ?? [])]);
      expect(stage?.entrypoint).toEqual(['node', ...NODE_FLAGS, 'dist/workers/cli.js']);
      expect(stage?.user).toBe('node');
    },
  );

  it.each(ours)('%s is a command that our CLI knows', (_, { command = [], healthcheck }) => {
    const helpOf = (args: readonly string[]): string =>
      execFileSync(process.execPath, [distPath('workers/cli.js'), ...args, '--help']).toString();
    expect(helpOf(command.slice(0, 1))).toContain(`Usage: ratchet ${command[0]} `);
    const roles = command[command.indexOf('--roles') + 1] ?? '';
    if (command.includes('--roles')) expect(Role.options).toContain(roles);
    const [, node, cli, check = '', ...options] = healthcheck?.test ?? [];
    expect([node, cli]).toEqual(['node', 'dist/workers/cli.js']);
    const help = helpOf([check]);
    expect(help).toContain('Usage: ratchet health ');
    for (const option of options.filter((one) => one.startsWith('--')))
      expect(help).toContain(option);
  });

  it('and `npm run ratchet` start Node with the same flags as processes that we start', () => {
    const manifest = readFileSync(join(ROOT, 'package.json'), 'utf8');
    const { scripts } = JSON.parse(manifest) as { scripts: Record<string, string> };
    expect(scripts['ratchet']).toContain(`node ${NODE_FLAGS.join(' ')} dist/workers/cli.js`);
  });

  it('cover every role', () => {
    const roles = ours.flatMap(([, { command = [] }]) =>
      command.slice(command.indexOf('--roles') + 1),
    );
    expect(roles).toEqual(expect.arrayContaining([...Role.options]));
  });
});

/** Docker's rules, as far as ours go: the last pattern that matches decides; a name stands for all that is in it. */
function isIgnored(path: string, patterns: readonly string[]): boolean {
  return patterns.reduce((ignored, pattern) => {
    const isException = pattern.startsWith('!');
    const name = isException ? pattern.slice(1) : pattern;
    const isMatch = name === '*' || path === name || path.startsWith(`${name}/`);
    return isMatch ? !isException : ignored;
  }, false);
}

describe('docker/Dockerfile', () => {
  const ignoreFile = readFileSync(join(ROOT, 'docker/Dockerfile.dockerignore'), 'utf8');
  const patterns = ignoreFile.split('\n').filter((line) => line !== '' && !line.startsWith('#'));

  it('copies what exists and is not ignored', () => {
    const sources = [...stages.values()].flatMap(({ copies }) => copies);
    expect(sources).toContain('workflows');
    for (const source of sources) {
      expect([source, existsSync(join(ROOT, source))]).toEqual([source, true]);
      expect([source, isIgnored(source, patterns)]).toEqual([source, false]);
    }
  });

  it('lets nothing else into the build: no secrets, no histories, no modules of this machine', () => {
    const sources = new Set([...stages.values()].flatMap(({ copies }) => copies));
    const letIn = readdirSync(ROOT).filter((name) => !isIgnored(name, patterns));
    expect(letIn.filter((name) => !sources.has(name))).toEqual([]);
    for (const name of ['.git', '.ratchet', 'node_modules', 'docker/.env', 'dist', 'test']) {
      expect([name, isIgnored(name, patterns)]).toEqual([name, true]);
    }
  });

  it('compiles every folder that the build needs', () => {
    const config = readFileSync(join(ROOT, 'tsconfig.build.json'), 'utf8');
    const { include } = JSON.parse(config) as { include: string[] };
    const copied = stages.get('build')?.copies ?? [];
    expect(include.filter((folder) => !copied.includes(folder))).toEqual(['bench']); // nobody runs it there
  });

  it('copies from stages that there are before', () => {
    const names = [...stages.keys()];
    for (const [index, { from, stageCopies }] of [...stages.values()].entries()) {
      const before = names.slice(0, index);
      if (index > 0) expect(before).toContain(from);
      for (const copy of stageCopies) expect(before).toContain(copy.split(':')[0]);
    }
    expect(stages.get('base')?.from).toMatch(/^node:20\.\d+\.\d+-bookworm-slim$/);
  });

  it('sets variables that are read', () => {
    const known = environmentHelp().map(({ name }) => name);
    const set = [...stages.values()].flatMap(({ env }) => Object.keys(env));
    expect(set).toContain('RATCHET_HEALTH_FILE');
    expect(set.filter((name) => name.startsWith('RATCHET_') && !known.includes(name))).toEqual([]);
  });

  it('installs what the compiled code imports: no import is of a development dependency', () => {
    const manifest = readFileSync(join(ROOT, 'package.json'), 'utf8');
    const { dependencies } = JSON.parse(manifest) as { dependencies: Record<string, string> };
    const allowed = new Set([...Object.keys(dependencies), ...builtinModules]);
    const files = ['src', 'workflows', 'activities', 'workers', 'examples'].flatMap((folder) =>
      readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
        .filter((path) => path.endsWith('.ts'))
        .map((path) => join(folder, path)),
    );
    const foreign = files.flatMap((file) => {
      const text = readFileSync(join(ROOT, file), 'utf8');
      return [...text.matchAll(/^(?:import|export) (?!type )[^;]*?from '([^.'][^']*)'/gms)]
        .map(([, from = '']) => from)
        .filter((from) => !from.startsWith('node:'))
        .map((from) =>
          from
            .split('/')
            .slice(0, from.startsWith('@') ? 2 : 1)
            .join('/'),
        )
        .filter((name) => !allowed.has(name))
        .map((name) => `${file}: ${name}`);
    });
    expect(files.length).toBeGreaterThan(150);
    expect(foreign).toEqual([]);
  });
});

describe('interpolation, as Docker does it', () => {
  it.each([
    ['${A:-b}', {}, 'b'],
    ['${A:-b}', { A: '' }, 'b'],
    ['${A-b}', { A: '' }, ''],
    ['${A:-b}', { A: 'c' }, 'c'],
    ['x${A:-}y', {}, 'xy'],
    ['$$A', { A: 'c' }, '$A'],
  ])('of %s with %j is %s', (text, variables, value) => {
    expect(interpolate(text, variables as Record<string, string>)).toBe(value);
  });
});
