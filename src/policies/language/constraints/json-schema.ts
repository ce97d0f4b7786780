import { InvalidInputError } from '../../../errors';

/** What a value may be: the part of JSON Schema (draft 2020-12) that a text can be held to while it is written. See README.md. */
export type JsonShape =
  /** Any JSON value. */
  | { readonly kind: 'any' }
  /** One of these JSON texts. */
  | { readonly kind: 'literals'; readonly texts: readonly string[] }
  /** Lengths in characters (Unicode code points). */
  | { readonly kind: 'string'; readonly minLength: number; readonly maxLength: number }
  | ({ readonly kind: 'number'; readonly isInteger: boolean } & NumberRange)
  | {
      readonly kind: 'array';
      readonly items: JsonShape;
      readonly minItems: number;
      readonly maxItems: number;
    }
  /** Members in any order, each at most once; null: any members. */
  | { readonly kind: 'object'; readonly members: readonly ObjectMember[] | null }
  | { readonly kind: 'anyOf'; readonly options: readonly JsonShape[] }
  /** A definition that may contain itself. */
  | { readonly kind: 'reference'; readonly name: string; readonly target: () => JsonShape };

export interface NumberRange {
  readonly minimum: number;
  readonly maximum: number;
  readonly isAboveMinimum: boolean;
  readonly isBelowMaximum: boolean;
}

export interface ObjectMember {
  readonly name: string;
  readonly shape: JsonShape;
  readonly isRequired: boolean;
}

type Json = Readonly<Record<string, unknown>>;

/** Say nothing about what is valid. */
const ANNOTATIONS = new Set([
  ...[
    'title',
    'description',
    'default',
    'examples',
    'example',
    'deprecated',
    'readOnly',
    'writeOnly',
  ],
  ...[
    '$schema',
    '$id',
    '$comment',
    '$defs',
    'definitions',
    'format',
    'contentEncoding',
    'strict',
    'nullable',
  ],
]);
/** What each type may say besides. */
const KEYWORDS: Readonly<Record<string, readonly string[]>> = {
  string: ['minLength', 'maxLength'],
  number: ['minimum', 'maximum', 'exclusiveMinimum', 'exclusiveMaximum'],
  integer: ['minimum', 'maximum', 'exclusiveMinimum', 'exclusiveMaximum'],
  array: ['items', 'minItems', 'maxItems'],
  object: ['properties', 'required', 'additionalProperties'],
  boolean: [],
  null: [],
};

/**
 * @throws {InvalidInputError} naming, by its place, what cannot be held to: nothing that says what is valid is passed over.
 */
export function parseJsonSchema(schema: unknown): JsonShape {
  const root = schema;
  const references = new Map<string, JsonShape>();

  function refuse(path: string, what: string): never {
    throw new InvalidInputError(`a schema cannot be held to: ${what}`, {
      context: { at: path === '' ? 'its top' : path },
    });
  }

  function reference(ref: string, path: string): JsonShape {
    const known = references.get(ref);
    if (known !== undefined) return known;
    if (ref !== '#' && !ref.startsWith('#/'))
      refuse(path, `$ref ${ref} (expected one within the schema)`);
    let found: unknown = root;
    for (const part of ref.split('/').slice(1)) {
      const name = part.replaceAll('~1', '/').replaceAll('~0', '~');
      found = isObject(found) && Object.hasOwn(found, name) ? found[name] : undefined;
    }
    if (found === undefined) refuse(path, `$ref ${ref} (nothing is there)`);
    let target: JsonShape | null = null;
    const shape: JsonShape = {
      kind: 'reference',
      name: ref,
      target: () => (target ??= read(found, ref)),
    };
    references.set(ref, shape);
    shape.target(); // what is wrong with it is said now
    return shape;
  }

  function read(node: unknown, path: string): JsonShape {
    if (node === true) return { kind: 'any' };
    if (!isObject(node)) refuse(path, `${JSON.stringify(node)} (expected an object, or true)`);
    const given = Object.keys(node).filter((key) => !ANNOTATIONS.has(key));
    const only = (keys: readonly string[]): void => {
      const more = given.filter((key) => !keys.includes(key));
      if (more.length > 0) refuse(path, more.join(', '));
    };
    if (given.length === 0) return { kind: 'any' };
    if (typeof node['$ref'] === 'string') {
      only(['$ref']);
      return reference(node['$ref'], path);
    }
    if ('enum' in node || 'const' in node) {
      only(['enum', 'const', 'type']);
      const values = Array.isArray(node['enum']) ? (node['enum'] as unknown[]) : [node['const']];
      if (values.length === 0) refuse(path, 'an empty enum');
      return { kind: 'literals', texts: values.map((value) => JSON.stringify(value)) };
    }
    for (const key of ['anyOf', 'oneOf', 'allOf']) {
      if (!(key in node)) continue;
      only([key, 'type']);
      const options = node[key];
      if (!Array.isArray(options) || options.length === 0) refuse(path, `${key} without members`);
      if (key === 'allOf' && options.length > 1) refuse(path, 'allOf of several');
      const shapes = options.map((option, i) => read(option, `${path}/${key}/${i}`));
      return shapes.length === 1 ? (shapes[0] as JsonShape) : { kind: 'anyOf', options: shapes };
    }
    const types = typesOf(node);
    if (types.length === 0) refuse(path, `${given.join(', ')} without a type`);
    only(['type', ...types.flatMap((type) => KEYWORDS[type] ?? refuse(path, `type ${type}`))]);
    const shapes = types.map((type) => readType(type, node, path));
    return shapes.length === 1 ? (shapes[0] as JsonShape) : { kind: 'anyOf', options: shapes };
  }

  function readType(type: string, node: Json, path: string): JsonShape {
    const count = (key: string, otherwise: number): number => {
      const value = node[key];
      if (value === undefined) return otherwise;
      if (typeof value === 'number' && Number.isInteger(value) && value >= 0) return value;
      return refuse(path, `${key} ${JSON.stringify(value)}`);
    };
    switch (type) {
      case 'string': {
        const [minLength, maxLength] = [count('minLength', 0), count('maxLength', Infinity)];
        if (minLength > maxLength) refuse(path, 'minLength above maxLength');
        return { kind: 'string', minLength, maxLength };
      }
      case 'integer':
      case 'number':
        return { kind: 'number', isInteger: type === 'integer', ...readRange(node, path) };
      case 'boolean':
        return { kind: 'literals', texts: ['true', 'false'] };
      case 'null':
        return { kind: 'literals', texts: ['null'] };
      case 'array': {
        const [minItems, maxItems] = [count('minItems', 0), count('maxItems', Infinity)];
        if (minItems > maxItems) refuse(path, 'minItems above maxItems');
        const items = 'items' in node ? read(node['items'], `${path}/items`) : ANY;
        return { kind: 'array', items, minItems, maxItems };
      }
      default:
        return readObject(node, path);
    }
  }

  function readRange(node: Json, path: string): NumberRange {
    const bound = (key: string): number | null => {
      const value = node[key];
      if (value === undefined) return null;
      return typeof value === 'number' ? value : refuse(path, `${key} ${JSON.stringify(value)}`);
    };
    const [low, above] = [bound('minimum') ?? -Infinity, bound('exclusiveMinimum') ?? -Infinity];
    const [high, below] = [bound('maximum') ?? Infinity, bound('exclusiveMaximum') ?? Infinity];
    const range = {
      minimum: Math.max(low, above),
      maximum: Math.min(high, below),
      isAboveMinimum: above >= low && above > -Infinity,
      isBelowMaximum: below <= high && below < Infinity,
    };
    if (range.minimum > range.maximum) refuse(path, 'a minimum above the maximum');
    return range;
  }

  function readObject(node: Json, path: string): JsonShape {
    const { properties, required = [], additionalProperties: more } = node;
    if (more !== undefined && typeof more !== 'boolean') {
      refuse(path, 'additionalProperties that is a schema');
    }
    if (!isStrings(required)) refuse(path, 'required (expected a list of names)');
    if (properties === undefined && required.length === 0) {
      return { kind: 'object', members: more === false ? [] : null };
    }
    if (!isObject(properties)) refuse(path, 'properties (expected an object)');
    const missing = required.filter((name) => !Object.hasOwn(properties, name));
    if (missing.length > 0) refuse(path, `required ${missing.join(', ')}, which is no property`);
    return {
      kind: 'object',
      members: Object.entries(properties).map(([name, member]) => ({
        name,
        shape: read(member, `${path}/properties/${name}`),
        isRequired: required.includes(name),
      })),
    };
  }

  const shape = read(root, '');
  for (const [ref, referred] of references) {
    if (leadsTo(referred, referred)) refuse(ref, `$ref ${ref} (it is nothing but itself)`);
  }
  return shape;
}

/** Whether a shape is, or may be, the wanted one without a value in between. */
function leadsTo(from: JsonShape, wanted: JsonShape, seen = new Set<JsonShape>()): boolean {
  if (seen.has(from)) return false;
  seen.add(from);
  const next =
    from.kind === 'reference' ? [from.target()] : from.kind === 'anyOf' ? from.options : [];
  return next.some((shape) => shape === wanted || leadsTo(shape, wanted, seen));
}

const ANY: JsonShape = { kind: 'any' };

function typesOf(node: Json): readonly string[] {
  const { type } = node;
  const types = typeof type === 'string' ? [type] : isStrings(type) ? type : [];
  if (types.length === 0 && 'properties' in node) return ['object'];
  return node['nullable'] === true && !types.includes('null') ? [...types, 'null'] : types;
}

function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isStrings(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((one) => typeof one === 'string');
}
