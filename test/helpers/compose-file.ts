import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';

// docker/compose.yaml and docker/Dockerfile as Docker reads them, as far as the two go.

const ROOT = join(__dirname, '../..');

export type Condition = 'service_started' | 'service_healthy' | 'service_completed_successfully';

export interface Service {
  readonly image: string;
  readonly build?: {
    readonly context: string;
    readonly dockerfile: string;
    readonly target: string;
  };
  readonly command?: readonly string[];
  readonly entrypoint?: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  readonly ports?: readonly string[];
  readonly volumes?: readonly string[];
  readonly configs?: readonly { readonly source: string; readonly target: string }[];
  readonly env_file?: readonly { readonly path: string; readonly required: boolean }[];
  readonly depends_on?: Readonly<Record<string, { readonly condition: Condition }>>;
  readonly healthcheck?: { readonly test: readonly string[] };
  readonly stop_grace_period?: string;
  readonly deploy?: { readonly replicas: number | string };
}

export interface ComposeFile {
  readonly services: Readonly<Record<string, Service>>;
  readonly volumes: Readonly<Record<string, unknown>>;
  readonly configs: Readonly<Record<string, { readonly file: string }>>;
}

export const composeText = (): string => readFileSync(join(ROOT, 'docker/compose.yaml'), 'utf8');

/** With merge keys resolved, and variables as they are written. */
export function readCompose(): ComposeFile {
  return parse(composeText(), { merge: true }) as ComposeFile;
}

const VARIABLE = /\$\$|\$\{([A-Z][A-Z0-9_]*)(?:(:?[-?])([^}]*))?\}/g;

export interface VariableUse {
  readonly name: string;
  readonly operator: string | undefined;
  readonly operand: string;
}

export function variablesOf(text: string): VariableUse[] {
  return [...text.matchAll(VARIABLE)].flatMap(([, name, operator, operand = '']) =>
    name === undefined ? [] : [{ name, operator, operand }],
  );
}

/** Docker's interpolation of one value. @throws {Error} for a variable that must be set and is not. */
export function interpolate(value: string, variables: Readonly<Record<string, string>>): string {
  return value.replaceAll(
    VARIABLE,
    (whole, name: string | undefined, operator: string | undefined, operand: string = '') => {
      if (name === undefined) return '$';
      const set = variables[name];
      const isSet = operator?.startsWith(':') === true ? Boolean(set) : set !== undefined;
      if (isSet) return set ?? '';
      if (operator?.endsWith('?') === true) throw new Error(`${name}: ${operand}`);
      if (operator === undefined) throw new Error(`${whole} has no default`);
      return operand;
    },
  );
}

/** The file as Docker would run it with this .env. */
export function resolveCompose(variables: Readonly<Record<string, string>>): ComposeFile {
  const walk = (value: unknown): unknown => {
    if (typeof value === 'string') return interpolate(value, variables);
    if (Array.isArray(value)) return value.map(walk);
    if (typeof value !== 'object' || value === null) return value;
    return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, walk(one)]));
  };
  return walk(readCompose()) as ComposeFile;
}

/** Every service after the ones that it depends on, otherwise in the order of the file. */
export function startOrder({ services }: Pick<ComposeFile, 'services'>): string[] {
  const order: string[] = [];
  const visit = (name: string, path: readonly string[]): void => {
    if (path.includes(name))
      throw new Error(`services wait for each other: ${[...path, name].join(' → ')}`);
    const service = services[name];
    if (service === undefined)
      throw new Error(`${path.at(-1)} depends on ${name}, which is no service`);
    for (const needed of Object.keys(service.depends_on ?? {})) visit(needed, [...path, name]);
    if (!order.includes(name)) order.push(name);
  };
  for (const name of Object.keys(services)) visit(name, []);
  return order;
}

export interface Stage {
  readonly name: string;
  readonly from: string;
  /** Of this stage and those it is built on. */
  readonly env: Readonly<Record<string, string>>;
  readonly command: readonly string[] | null;
  readonly entrypoint: readonly string[] | null;
  readonly healthcheck: readonly string[] | null;
  readonly user: string | null;
  /** Sources in the build context, of this stage alone. */
  readonly copies: readonly string[];
  /** Sources in other stages, as `<stage>:<path>`, of this stage alone. */
  readonly stageCopies: readonly string[];
}

/** The stages of docker/Dockerfile by name. Knows the instructions that the file uses and refuses others. */
export function readDockerfile(): Map<string, Stage> {
  const stages = new Map<string, Stage>();
  let stage: Stage | undefined;
  const text = readFileSync(join(ROOT, 'docker/Dockerfile'), 'utf8');
  for (const line of text.split('\n')) {
    if (line === '' || line.startsWith('#')) continue;
    const [, instruction = '', rest = ''] = /^([A-Z]+) (.*)$/.exec(line) ?? [];
    if (instruction === 'FROM') {
      const [, from = '', name = ''] = /^(\S+) AS (\S+)$/.exec(rest) ?? [];
      const parent = stages.get(from);
      const nothing = { env: {}, command: null, entrypoint: null, healthcheck: null, user: null };
      stage = { ...nothing, ...parent, name, from, copies: [], stageCopies: [] };
      stages.set(name, stage);
      continue;
    }
    if (stage === undefined) throw new Error(`before the first FROM: ${line}`);
    stage = { ...stage, ...effectOf(stage, instruction, rest) };
    stages.set(stage.name, stage);
  }
  return stages;
}

function effectOf(stage: Stage, instruction: string, rest: string): Partial<Stage> {
  const list = (text: string): string[] => JSON.parse(text) as string[];
  switch (instruction) {
    case 'ENV': {
      const [, name = '', value = ''] = /^(\w+)=(\S*)$/.exec(rest) ?? [];
      return { env: { ...stage.env, [name]: value } };
    }
    case 'CMD':
      return { command: list(rest) };
    case 'ENTRYPOINT':
      return { entrypoint: list(rest) };
    case 'HEALTHCHECK':
      return { healthcheck: list(rest.slice(rest.indexOf('CMD ') + 4)) };
    case 'USER':
      return { user: rest };
    case 'COPY': {
      const [, from, paths = ''] = /^(?:--from=(\S+) )?(.*)$/.exec(rest) ?? [];
      const sources = paths.split(' ').slice(0, -1);
      if (from === undefined) return { copies: [...stage.copies, ...sources] };
      return { stageCopies: [...stage.stageCopies, ...sources.map((path) => `${from}:${path}`)] };
    }
    case 'WORKDIR':
    case 'RUN':
    case 'EXPOSE':
    case 'STOPSIGNAL':
      return {};
    default:
      throw new Error(`an instruction that nothing here knows: ${instruction} ${rest}`);
  }
}
