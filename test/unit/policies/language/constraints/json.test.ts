import { valueFrame } from '../../../../../src/policies/language/constraints/json-frames';
import { parseJsonSchema } from '../../../../../src/policies/language/constraints/json-schema';
import { Machine, type State } from '../../../../../src/policies/language/constraints/machine';
import { stream } from '../../../../../src/rl/counter-rng';
import { isValid, randomSchema, randomValue, type Schema } from './random-schemas';

/** What became of a text: `refused` at a byte, or where it stands at its end. */
function outcome(schema: unknown, text: string | Uint8Array): 'complete' | 'begun' | 'refused' {
  let state: State | null = new Machine().start({
    frame: valueFrame(parseJsonSchema(schema)),
    below: null,
  });
  for (const byte of Buffer.from(text as string)) {
    state = state.step(byte);
    if (state === null) return 'refused';
  }
  return state.isComplete ? 'complete' : 'begun';
}

/** As Python's json.dumps and JSON.stringify write it. */
const spaced = (value: unknown): string =>
  JSON.stringify(value, null, 1).replace(/\n\s*/g, (_, at: number, all: string) =>
    /[,]/.test(all[at - 1] ?? '') ? ' ' : '',
  );

test('every value of a random schema is taken, tight or with a space behind commas and colons', () => {
  const random = stream({ seed: 1, purpose: 'test.json' });
  for (let i = 0; i < 1500; i++) {
    const schema = randomSchema(random);
    const value = randomValue(schema, random);
    expect(isValid(schema, value)).toBe(true);
    for (const text of [JSON.stringify(value), spaced(value)]) {
      if (outcome(schema, text) !== 'complete') {
        throw new Error(`${JSON.stringify(schema)} refused ${text}`);
      }
    }
  }
});

test('a text that was changed is complete only where it is still valid', () => {
  const random = stream({ seed: 2, purpose: 'test.json' });
  let [complete, refused] = [0, 0];
  for (let i = 0; i < 4000; i++) {
    const schema = randomSchema(random);
    const text = JSON.stringify(randomValue(schema, random));
    const at = random.below(text.length + 1);
    const inserted = [...'"\\,:[]{}0179.-eEa ntrue'][random.below(22)] as string;
    const changed =
      text.slice(0, at) +
      (random.below(2) === 0 ? inserted : '') +
      text.slice(at + random.below(2));
    const got = outcome(schema, changed);
    if (got !== 'complete') {
      refused++;
      continue;
    }
    complete++;
    const value = JSON.parse(changed) as unknown; // throws for what is no JSON
    if (!isValid(schema, value)) throw new Error(`${JSON.stringify(schema)} took ${changed}`);
  }
  expect(complete).toBeGreaterThan(300);
  expect(refused).toBeGreaterThan(300);
});

test('whatever is written one allowed byte at a time ends in a valid value', () => {
  const random = stream({ seed: 3, purpose: 'test.json' });
  const closing = [...Buffer.from('"]},:0123456789abcdefghijklmnopqrstuvwxyz -.')];
  for (let i = 0; i < 300; i++) {
    const schema = randomSchema(random);
    let state: State = new Machine().start({
      frame: valueFrame(parseJsonSchema(schema)),
      below: null,
    });
    const bytes: number[] = [];
    for (;;) {
      if (state.isComplete && (bytes.length > 30 || random.below(3) === 0)) break;
      const all = bytes.length < 30 ? Array.from({ length: 256 }, (_, byte) => byte) : closing;
      const open = all.filter((byte) => state.step(byte) !== null);
      const fallback = Array.from({ length: 256 }, (_, byte) => byte).filter(
        (byte) => state.step(byte) !== null,
      );
      const choices = open.length > 0 ? open : fallback;
      if (choices.length === 0 && state.isComplete) break;
      // Closing what is open comes first once it is long enough.
      const byte = bytes.length < 30 ? choices[random.below(choices.length)] : choices[0];
      if (byte === undefined)
        throw new Error(`stuck in ${JSON.stringify(schema)} at ${Buffer.from(bytes).toString()}`);
      bytes.push(byte);
      state = state.step(byte) as State;
      if (bytes.length > 2000) throw new Error(`no end of ${JSON.stringify(schema)}`);
    }
    const text = new TextDecoder('utf-8', { fatal: true }).decode(Uint8Array.from(bytes));
    if (!isValid(schema, JSON.parse(text)))
      throw new Error(`${JSON.stringify(schema)} led to ${text}`);
  }
});

describe('strings', () => {
  const string: Schema = { type: 'string' };
  test.each([
    ['"\\ud83d\\ude00"', 'complete'],
    ['"\\ud83d"', 'refused'],
    ['"\\ude00"', 'refused'],
    ['"\\u00e9\\n\\/"', 'complete'],
    ['"\\x"', 'refused'],
    ['"a\nb"', 'refused'],
    ['"a', 'begun'],
    ['"a""', 'refused'],
  ] as const)('%s', (text, expected) => expect(outcome(string, text)).toBe(expected));

  test('only valid UTF-8', () => {
    const bytes = (...inner: number[]): Uint8Array => Uint8Array.of(0x22, ...inner, 0x22);
    expect(outcome(string, bytes(0xf0, 0x9f, 0x99, 0x82))).toBe('complete');
    for (const bad of [
      [0x80],
      [0xc0, 0x80],
      [0xe0, 0x80, 0x80],
      [0xed, 0xa0, 0x80],
      [0xf4, 0x90, 0x80, 0x80],
      [0xc3],
    ]) {
      expect(outcome(string, bytes(...bad))).toBe('refused');
    }
  });

  test('lengths are counted in characters, not bytes', () => {
    const two: Schema = { type: 'string', minLength: 2, maxLength: 2 };
    expect(outcome(two, '"🙂ä"')).toBe('complete');
    expect(outcome(two, '"\\ud83d\\ude00\\n"')).toBe('complete');
    expect(outcome(two, '"🙂"')).toBe('refused');
    expect(outcome(two, '"abc"')).toBe('refused');
  });
});

describe('numbers', () => {
  test.each([
    [{ type: 'integer' }, '-0', 'complete'],
    [{ type: 'integer' }, '01', 'refused'],
    [{ type: 'integer' }, '1.0', 'refused'],
    [{ type: 'integer' }, '1e3', 'refused'],
    [{ type: 'number' }, '1.5e-10', 'complete'],
    [{ type: 'number' }, '1.', 'begun'],
    [{ type: 'number' }, '.5', 'refused'],
    [{ type: 'integer', minimum: 10, maximum: 20 }, '1', 'begun'],
    [{ type: 'integer', minimum: 10, maximum: 20 }, '15', 'complete'],
    [{ type: 'integer', minimum: 10, maximum: 20 }, '3', 'refused'],
    [{ type: 'integer', minimum: 10, maximum: 20 }, '-', 'refused'],
    [{ type: 'integer', exclusiveMinimum: 9, exclusiveMaximum: 10 }, '9', 'refused'],
    [{ type: 'number', exclusiveMaximum: 10, minimum: 9 }, '10', 'refused'],
    [{ type: 'number', exclusiveMaximum: 10, minimum: 9 }, '9.99', 'complete'],
    [{ type: 'number', minimum: 10, maximum: 10 }, '9', 'refused'],
    [{ type: 'number', maximum: -1 }, '-0.5', 'refused'],
  ] as const)('%j %s', (schema, text, expected) => {
    expect(outcome(schema, text)).toBe(expected);
  });

  test('no number goes on for ever', () => {
    expect(outcome({ type: 'number' }, '1'.repeat(16))).toBe('refused');
    expect(outcome({ type: 'number' }, `0.${'1'.repeat(16)}`)).toBe('refused');
  });
});

describe('objects and arrays', () => {
  const schema: Schema = {
    type: 'object',
    properties: { a: { type: 'integer' }, ab: { type: 'boolean' }, c: { $ref: '#' } },
    required: ['a'],
  };
  test.each([
    ['{"a":1}', 'complete'],
    ['{"ab": true, "a": 1}', 'complete'],
    ['{"ab":true}', 'refused'],
    ['{"a":1,"a":2}', 'refused'],
    ['{"a":1,}', 'refused'],
    ['{"a" :1}', 'refused'],
    ['{"a":  1}', 'refused'],
    ['{"d":1}', 'refused'],
    ['{"a":1,"c":{"a":2,"c":{"a":3}}}', 'complete'],
    ['{}', 'refused'],
  ] as const)('%s', (text, expected) => expect(outcome(schema, text)).toBe(expected));

  test('what nobody describes is any JSON', () => {
    for (const value of [{}, [], 'x', -1.5, null, { a: [{ b: [1, 'ä', null] }], '': false }]) {
      expect(outcome({}, JSON.stringify(value))).toBe('complete');
    }
    expect(outcome({ type: 'object' }, '[]')).toBe('refused');
    expect(
      outcome({ type: 'object', properties: {}, additionalProperties: false }, '{"a":1}'),
    ).toBe('refused');
  });

  test('nesting has an end', () => {
    expect(outcome({}, '['.repeat(16))).toBe('begun');
    expect(outcome({}, '['.repeat(17))).toBe('refused');
  });
});

describe('a schema', () => {
  test.each([
    [{ type: 'string', pattern: 'a+' }, /pattern/],
    [
      { type: 'object', properties: { a: { type: 'integer', multipleOf: 3 } } },
      /multipleOf.*\/properties\/a/,
    ],
    [{ not: {} }, /not/],
    [{ type: 'array', items: {}, uniqueItems: true }, /uniqueItems/],
    [{ allOf: [{}, {}] }, /allOf/],
    [{ $ref: 'https://example.com/a.json' }, /\$ref/],
    [{ $ref: '#/$defs/a' }, /nothing is there/],
    [{ $ref: '#' }, /nothing but itself/],
    [{ anyOf: [{ type: 'null' }, { $ref: '#' }] }, /nothing but itself/],
    [
      { $ref: '#/$defs/a', $defs: { a: { $ref: '#/$defs/b' }, b: { $ref: '#/$defs/a' } } },
      /nothing but itself/,
    ],
    [{ enum: [] }, /empty enum/],
    [{ type: 'object', properties: {}, required: ['a'] }, /required a/],
    [{ type: 'rune' }, /type rune/],
    [{ type: 'integer', minimum: 2, maximum: 1 }, /minimum above/],
    [{ minLength: 1 }, /without a type/],
    [7, /expected an object/],
  ])('%j is refused by name', (schema, message) => {
    expect(() => parseJsonSchema(schema)).toThrow(message);
  });

  test('what only describes is let be', () => {
    const schema = {
      title: 'T',
      description: 'd',
      type: 'string',
      format: 'date',
      default: 'x',
      examples: ['y'],
    };
    expect(outcome(schema, '"x"')).toBe('complete');
  });
});
