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

  test('of all starts of characters exactly those that UTF-8 knows', () => {
    const begins = (...inner: number[]): boolean =>
      outcome(string, Uint8Array.of(0x22, ...inner)) === 'begun';
    const whole = (...inner: number[]): boolean =>
      outcome(string, Uint8Array.of(0x22, ...inner, 0x22)) === 'complete';
    // The third and fourth byte of a character are free: any that may come will do.
    const fill = (lead: number): number[] =>
      new Array<number>(lead >= 0xf0 ? 2 : lead >= 0xe0 ? 1 : 0).fill(0xbf);
    const decoder = new TextDecoder('utf-8', { fatal: true });
    const isUtf8 = (...bytes: number[]): boolean => {
      try {
        decoder.decode(Uint8Array.from(bytes));
        return true;
      } catch {
        return false;
      }
    };
    for (let lead = 0x80; lead < 0x100; lead++) {
      let possible = false;
      for (let second = 0x00; second < 0x100; second++) {
        if (second === 0x22) continue;
        const is = second >= 0x80 && isUtf8(lead, second, ...fill(lead));
        possible ||= is;
        expect([lead, second, whole(lead, second, ...fill(lead))]).toEqual([lead, second, is]);
      }
      expect([lead, begins(lead)]).toEqual([lead, possible]);
    }
    for (const last of [0x7f, 0x80, 0xbf, 0xc0]) {
      expect(whole(0xe2, 0x80, last)).toBe(isUtf8(0xe2, 0x80, last));
      expect(whole(0xf0, 0x9f, 0x99, last)).toBe(isUtf8(0xf0, 0x9f, 0x99, last));
    }
  });

  test('an escaped surrogate comes with its other half, and nothing else does', () => {
    const hex = (code: number): string => `\\u${code.toString(16).padStart(4, '0')}`;
    for (let code = 0; code <= 0xffff; code += code >= 0xd6f0 && code < 0xe010 ? 1 : 0x107) {
      const isHigh = code >= 0xd800 && code <= 0xdbff;
      const isLow = code >= 0xdc00 && code <= 0xdfff;
      const alone = isLow ? 'refused' : isHigh ? 'refused' : 'complete';
      expect([code, outcome(string, `"${hex(code)}"`)]).toEqual([code, alone]);
      const behind = isLow ? 'complete' : 'refused';
      expect([code, outcome(string, `"${hex(0xd83d)}${hex(code)}"`)]).toEqual([code, behind]);
      expect(outcome(string, `"${hex(code).toUpperCase().replace('U', 'u')}"`)).toBe(alone);
    }
    expect(outcome(string, '"\\u00g0"')).toBe('refused');
    expect(outcome(string, '"\\ud83dx"')).toBe('refused');
    expect(outcome(string, '"\\ud83d\\n"')).toBe('refused');
  });

  test('of all bytes that may follow a backslash, the nine of JSON', () => {
    const taken = Array.from({ length: 128 }, (_, byte) => String.fromCharCode(byte)).filter(
      (c) => outcome(string, `"\\${c}`) !== 'refused',
    );
    expect(taken.join('')).toBe('"/\\bfnrtu');
    for (let byte = 0; byte < 0x80; byte++) {
      const isTaken = byte >= 0x20 && byte !== 0x22 && byte !== 0x5c;
      expect([byte, outcome(string, Uint8Array.of(0x22, byte, 0x22))]).toEqual([
        byte,
        isTaken ? 'complete' : byte === 0x5c ? 'begun' : 'refused',
      ]);
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

  test('of all whole numbers exactly those of the range can be written, and of all beginnings those that lead to one', () => {
    const numbers = Array.from({ length: 2401 }, (_, i) => i - 1200);
    const random = stream({ seed: 5, purpose: 'test.ranges' });
    for (let i = 0; i < 25; i++) {
      const [a, b] = [random.below(2200) - 1100, random.below(2200) - 1100];
      const [low, high] = [Math.min(a, b), Math.max(a, b) + 2];
      const isOpen = [random.below(2) === 1, random.below(2) === 1];
      const schema = {
        type: 'integer',
        [isOpen[0] === true ? 'exclusiveMinimum' : 'minimum']: low,
        [isOpen[1] === true ? 'exclusiveMaximum' : 'maximum']: high,
      };
      const inRange = (n: number): boolean =>
        (isOpen[0] === true ? n > low : n >= low) && (isOpen[1] === true ? n < high : n <= high);
      const beginnings = new Set(
        numbers.filter(inRange).flatMap((n) => {
          const text = String(n);
          return Array.from(text, (_, k) => text.slice(0, k + 1));
        }),
      );
      for (const n of numbers) {
        if (n === 0) continue; // "-0" also is one
        const got = outcome(schema, String(n));
        const expected = inRange(n) ? 'complete' : beginnings.has(String(n)) ? 'begun' : 'refused';
        if (got !== expected) throw new Error(`${JSON.stringify(schema)} ${n}: ${got}`);
      }
    }
  });

  test('a range with fractions takes what is in it, and begins nothing that cannot be', () => {
    const random = stream({ seed: 6, purpose: 'test.ranges' });
    const hundredths = (most: number): number =>
      Number(((random.below(2 * most) - most) / 100).toFixed(2));
    let [taken, refused] = [0, 0];
    for (let i = 0; i < 300; i++) {
      const [a, b] = [hundredths(2000), hundredths(2000)];
      const [minimum, maximum] = [Math.min(a, b), Math.max(a, b)];
      for (let j = 0; j < 20; j++) {
        const value = hundredths(2200);
        const got = outcome({ type: 'number', minimum, maximum }, String(value));
        const isIn = value >= minimum && value <= maximum;
        // Two digits behind the point: what more of them can reach is less than a hundredth away.
        const canBe = value + 0.01 >= minimum && value - 0.01 <= maximum;
        if (isIn)
          expect([minimum, maximum, value, got]).toEqual([minimum, maximum, value, 'complete']);
        else if (canBe || !/\.\d\d$/.test(String(value))) expect(got).not.toBe('complete');
        else expect([minimum, maximum, value, got]).toEqual([minimum, maximum, value, 'refused']);
        if (got === 'complete') taken++;
        if (got === 'refused') refused++;
      }
    }
    expect(Math.min(taken, refused)).toBeGreaterThan(1000);
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
    [{ anyOf: [] }, /anyOf without members/],
    [{ type: 'string', minLength: -1 }, /minLength -1/],
    [{ type: 'string', maxLength: 1.5 }, /maxLength 1.5/],
    [{ type: 'array', minItems: '2' }, /minItems "2"/],
    [{ type: 'array', minItems: 3, maxItems: 2 }, /minItems above/],
    [{ type: 'string', minLength: 3, maxLength: 2 }, /minLength above/],
    [{ type: 'integer', minimum: '2' }, /minimum "2"/],
    [{ type: 'object', properties: {}, required: ['a'] }, /required a/],
    [{ type: 'rune' }, /type rune/],
    [{ type: 'integer', minimum: 2, maximum: 1 }, /minimum above/],
    [{ minLength: 1 }, /without a type/],
    [7, /expected an object/],
  ])('%j is refused by name', (schema, message) => {
    expect(() => parseJsonSchema(schema)).toThrow(message);
  });

  test('one member of allOf is that member', () => {
    expect(outcome({ allOf: [{ type: 'integer' }] }, '12')).toBe('complete');
    expect(outcome({ allOf: [{ type: 'integer' }] }, '"')).toBe('refused');
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
