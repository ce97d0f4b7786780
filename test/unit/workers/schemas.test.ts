import { RunConfig } from '../../../src/schemas/run-config';
import { jsonSchema, SCHEMA_NAMES } from '../../../workers/schemas';

interface Schema {
  readonly description?: string;
  readonly default?: unknown;
  readonly required?: readonly string[];
  readonly additionalProperties?: boolean | Schema;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly items?: Schema;
  readonly anyOf?: readonly Schema[];
  readonly oneOf?: readonly Schema[];
}

/** Every field of a schema with its path, those of its alternatives too. */
function fieldsOf(schema: Schema, path = ''): [string, Schema][] {
  const nested = Object.entries(schema.properties ?? {}).flatMap(([name, field]) => {
    const at = path === '' ? name : `${path}.${name}`;
    return [[at, field] as [string, Schema], ...fieldsOf(field, at)];
  });
  const others = [schema.items, ...(schema.anyOf ?? []), ...(schema.oneOf ?? [])];
  return [...nested, ...others.flatMap((other) => (other ? fieldsOf(other, path) : []))];
}

describe('the JSON Schema of a workflow’s input', () => {
  const run = jsonSchema('run') as Schema;

  it.each(['run', 'evaluation'] as const)('of %s describes every field', (name) => {
    const fields = fieldsOf(jsonSchema(name) as Schema);
    expect(fields.length).toBeGreaterThan(20);
    expect(fields.filter(([, { description }]) => !description).map(([path]) => path)).toEqual([]);
  });

  it('of a promotion describes each field that a person writes', () => {
    const { oneOf = [] } = jsonSchema('promotion') as Schema;
    expect(oneOf).toHaveLength(2);
    for (const alternative of oneOf)
      for (const [name, { description }] of Object.entries(alternative.properties ?? {}))
        expect([name, description]).toEqual([name, expect.any(String)]);
  });

  it('lists the fields of RunConfig, all of them', () => {
    expect(Object.keys(run.properties ?? {})).toEqual(Object.keys(RunConfig.shape));
  });

  it('requires what has no default and nothing else', () => {
    expect(run.required).toEqual(['policy', 'dataset', 'agent', 'reward', 'gate', 'approval']);
  });

  it('shows the defaults that a run gets', () => {
    const defaults = Object.fromEntries(
      fieldsOf(run).map(([path, field]) => [path, field.default]),
    );
    expect(defaults).toMatchObject({
      ...{ seed: 1, iterations: 8, tasksPerIteration: 1000, watch: '24h', report: true },
      ...{ 'rollouts.concurrency': 16, 'rollouts.timeout': '60s', 'gate.confidence': 0.95 },
      ...{ 'approval.deadline': '7d', 'gate.minTasks': 30 },
    });
  });

  it('refuses unknown fields, as the parser does', () => {
    expect(run.additionalProperties).toBe(false);
  });

  it('is JSON, for every name', () => {
    expect(SCHEMA_NAMES).toEqual(['run', 'evaluation', 'promotion']);
    for (const name of SCHEMA_NAMES) {
      const schema = jsonSchema(name);
      expect(JSON.parse(JSON.stringify(schema))).toEqual(schema);
      expect(schema).toMatchObject({ $schema: expect.stringContaining('2020-12') as string });
    }
  });
});
