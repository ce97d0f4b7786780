import type { RandomStream } from '../../../../../src/rl/counter-rng';

// Random schemas of the subset, values of them, and a validator of its own that knows nothing of the machine.

export type Schema = Readonly<Record<string, unknown>>;

const NAMES = ['a', 'ab', 'abc', 'b', 'größe', 'with "quote"', 'x y'];
const TEXTS = ['', 'a', 'ab', '7', 'true', 'ä🙂', 'line\nbreak', '"quoted"', '\\', '\u0001'];

export function randomSchema(random: RandomStream, depth = 0): Schema {
  const leaf = depth > 2;
  switch (random.below(leaf ? 6 : 9)) {
    case 0: {
      const minLength = random.below(3);
      return random.below(2) === 0
        ? { type: 'string' }
        : { type: 'string', minLength, maxLength: minLength + random.below(4) };
    }
    case 1: {
      const minimum = random.below(300) - 150;
      const maximum = minimum + random.below(200);
      return random.below(2) === 0 ? { type: 'integer' } : { type: 'integer', minimum, maximum };
    }
    case 2:
      return random.below(2) === 0
        ? { type: 'number' }
        : { type: 'number', minimum: -2.5, exclusiveMaximum: 12.25 };
    case 3:
      return { type: ['boolean', 'null'] };
    case 4:
      return { enum: ['a', 'ab', 'abc', 1, 12, null].slice(random.below(3)) };
    case 5:
      return { const: TEXTS[random.below(TEXTS.length)] };
    case 6: {
      const minItems = random.below(3);
      return {
        ...{ type: 'array', items: randomSchema(random, depth + 1), minItems },
        ...(random.below(2) === 0 ? {} : { maxItems: minItems + random.below(3) }),
      };
    }
    case 7:
      return { anyOf: [randomSchema(random, depth + 1), randomSchema(random, depth + 1)] };
    default: {
      const names = NAMES.filter(() => random.below(2) === 0);
      const properties = Object.fromEntries(
        names.map((name) => [name, randomSchema(random, depth + 1)]),
      );
      return { type: 'object', properties, required: names.filter(() => random.below(2) === 0) };
    }
  }
}

export function randomValue(schema: Schema, random: RandomStream): unknown {
  if (Array.isArray(schema['enum'])) return pick(schema['enum'] as unknown[], random);
  if ('const' in schema) return schema['const'];
  if (Array.isArray(schema['anyOf']))
    return randomValue(pick(schema['anyOf'] as Schema[], random), random);
  const type = Array.isArray(schema['type'])
    ? pick(schema['type'] as string[], random)
    : schema['type'];
  const bound = (key: string, otherwise: number): number =>
    (schema[key] as number | undefined) ?? otherwise;
  switch (type) {
    case 'string': {
      const [low, high] = [bound('minLength', 0), bound('maxLength', 6)];
      const length = low + random.below(high - low + 1);
      return Array.from({ length }, () =>
        pick(['a', 'b', '"', '\\', 'ä', '🙂', '\n'], random),
      ).join('');
    }
    case 'integer': {
      const [low, high] = [bound('minimum', -1000), bound('maximum', 1000)];
      return low + random.below(high - low + 1);
    }
    case 'number': {
      const [low, high] = [bound('minimum', -1000), bound('exclusiveMaximum', 1000)];
      return Number((low + random.next() * (high - low) * 0.99).toFixed(random.below(5)));
    }
    case 'boolean':
      return random.below(2) === 0;
    case 'null':
      return null;
    case 'array': {
      const [low, high] = [bound('minItems', 0), bound('maxItems', 4)];
      const items = schema['items'] as Schema;
      return Array.from({ length: low + random.below(Math.max(1, high - low + 1)) }, () =>
        randomValue(items, random),
      );
    }
    default: {
      const required = schema['required'] as string[];
      const entries = Object.entries(schema['properties'] as Record<string, Schema>).filter(
        ([name]) => required.includes(name) || random.below(2) === 0,
      );
      const ordered = random.below(2) === 0 ? entries : entries.reverse();
      return Object.fromEntries(
        ordered.map(([name, member]) => [name, randomValue(member, random)]),
      );
    }
  }
}

export function isValid(schema: Schema, value: unknown): boolean {
  if (Array.isArray(schema['enum']))
    return (schema['enum'] as unknown[]).some((one) => one === value);
  if ('const' in schema) return schema['const'] === value;
  if (Array.isArray(schema['anyOf']))
    return (schema['anyOf'] as Schema[]).some((one) => isValid(one, value));
  const types = Array.isArray(schema['type'])
    ? (schema['type'] as string[])
    : [schema['type'] as string];
  const within = (n: number, low: string, high: string): boolean =>
    n >= ((schema[low] as number | undefined) ?? -Infinity) &&
    n <= ((schema[high] as number | undefined) ?? Infinity);
  return types.some((type) => {
    switch (type) {
      case 'string':
        return typeof value === 'string' && within([...value].length, 'minLength', 'maxLength');
      case 'integer':
        return Number.isInteger(value) && within(value as number, 'minimum', 'maximum');
      case 'number':
        return (
          typeof value === 'number' &&
          within(value, 'minimum', 'maximum') &&
          value < ((schema['exclusiveMaximum'] as number | undefined) ?? Infinity)
        );
      case 'array':
        return (
          Array.isArray(value) &&
          within(value.length, 'minItems', 'maxItems') &&
          value.every((one) => isValid(schema['items'] as Schema, one))
        );
      case 'object': {
        if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
        const properties = schema['properties'] as Record<string, Schema>;
        const names = Object.keys(value);
        return (
          (schema['required'] as string[]).every((name) => names.includes(name)) &&
          names.every((name) => {
            const member = Object.hasOwn(properties, name) ? properties[name] : undefined;
            return (
              member !== undefined && isValid(member, (value as Record<string, unknown>)[name])
            );
          })
        );
      }
      case 'null':
        return value === null;
      default:
        return typeof value === type;
    }
  });
}

function pick<T>(values: readonly T[], random: RandomStream): T {
  return values[random.below(values.length)] as T;
}
