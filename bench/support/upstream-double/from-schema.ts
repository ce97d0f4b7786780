interface Schema {
  readonly type?: string | readonly string[];
  readonly properties?: Readonly<Record<string, unknown>>;
  readonly required?: readonly string[];
  readonly items?: unknown;
  readonly enum?: readonly unknown[];
  readonly const?: unknown;
  readonly anyOf?: readonly unknown[];
}

/** A value of a JSON Schema's form: what is required and no more. Texts are the last proper name of `text` (“the weather in Oslo”). */
export function fromSchema(schema: unknown, text: string): unknown {
  const { type, properties = {}, required = [], items, anyOf, ...rest } = (schema ?? {}) as Schema;
  if (rest.const !== undefined) return rest.const;
  if (rest.enum !== undefined) return rest.enum[0];
  if (anyOf !== undefined) return fromSchema(anyOf[0], text);
  switch (typeof type === 'object' ? type[0] : type) {
    case 'string':
      return text.match(/(?<=\s)\p{Lu}\p{L}+/gu)?.at(-1) ?? 'something';
    case 'number':
    case 'integer':
      return Number(/\d+/.exec(text)?.[0] ?? 7);
    case 'boolean':
      return true;
    case 'null':
      return null;
    case 'array':
      return [fromSchema(items, text)];
    default:
      return Object.fromEntries(required.map((name) => [name, fromSchema(properties[name], text)]));
  }
}
