import fc from 'fast-check';

/** Values that code stumbles over: names of prototypes, ends of number ranges, text that is more than text. */
const HOSTILE_VALUES: readonly unknown[] = [
  ...[null, true, false, 0, -0, -1, 1e308, 5e-324, 2 ** 53, -(2 ** 63), '', ' ', '\0', '0', '-1'],
  ...['__proto__', 'constructor', 'prototype', 'toString', '../../../etc/passwd', '%2e%2e%2f'],
  ...['http://127.0.0.1:1/', 'file:///etc/passwd', '//evil.example/v1', 'a\r\nx-injected: yes'],
  ...['\x1b[2J\x1b[31m', '\u202eright to left', '\ud800', '\udfff\ud800', '😀'.repeat(50)],
  ...[
    'ratchet/',
    'ratchet/support@',
    'ratchet/../support',
    'ratchet/support@sha256:zz',
    'rk-',
    'rks-.',
  ],
  ...[[], {}, [[]], [null], { '': null }, 'x'.repeat(5_000), "' OR 1=1 --", '${7*7}', '{{7*7}}'],
];

export const hostileValue: fc.Arbitrary<unknown> = fc.oneof(
  { weight: 3, arbitrary: fc.constantFrom(...HOSTILE_VALUES) },
  { weight: 1, arbitrary: fc.jsonValue({ maxDepth: 3 }) },
  { weight: 1, arbitrary: fc.double().map((value) => (Number.isFinite(value) ? value : 0)) },
  { weight: 1, arbitrary: fc.string({ unit: 'binary', maxLength: 60 }) },
  { weight: 1, arbitrary: fc.integer({ min: 2, max: 400 }).map(nested) },
);

function nested(depth: number): unknown {
  let value: unknown = 'deep';
  for (let i = 0; i < depth; i++) value = i % 2 === 0 ? [value] : { a: value };
  return value;
}

const memberName = fc.constantFrom(
  ...[
    'model',
    'messages',
    'input',
    'tools',
    'tool_choice',
    'stream',
    'stream_options',
    'n',
    'user',
  ],
  ...['metadata', 'temperature', 'logprobs', 'return_token_ids', 'content', 'role', 'tool_calls'],
  ...['previous_response_id', 'max_tokens', 'system', 'response_id', 'session', 'value', 'agent'],
  ...[
    '__proto__',
    'constructor',
    'id',
    'type',
    'function',
    'name',
    'arguments',
    'safety_identifier',
  ],
);

type Mutation = (value: unknown) => unknown;

/** People's words, which may be anything. */
const hostileText = fc.oneof(
  fc.constantFrom(...HOSTILE_VALUES.filter((value) => typeof value === 'string')),
  fc.string({ unit: 'binary', maxLength: 60 }),
);

/** One change somewhere in a value. The choices are numbers, so that a counterexample is made smaller. Most change words, and get through. */
const mutation: fc.Arbitrary<Mutation> = fc
  .record({
    path: fc.array(fc.nat({ max: 20 }), { minLength: 1, maxLength: 5 }),
    how: fc.constantFrom(
      ...[
        'text',
        'text',
        'text',
        'text',
        'text',
        'text',
        'replace',
        'remove',
        'add',
        'wrap',
        'repeat',
      ],
    ),
    name: memberName,
    value: hostileValue,
    text: hostileText,
  })
  .map(
    ({ path, how, name, value, text }) =>
      (before) =>
        mutate(before, path, how, name, how === 'text' ? text : value),
  );

function mutate(
  at: unknown,
  path: readonly number[],
  how: string,
  name: string,
  value: unknown,
): unknown {
  const [step, ...rest] = path;
  if (step !== undefined && Array.isArray(at) && at.length > 0) {
    const index = step % at.length;
    return at.map((item: unknown, i) =>
      i === index ? mutate(item, rest, how, name, value) : item,
    );
  }
  if (step !== undefined && typeof at === 'object' && at !== null && !Array.isArray(at)) {
    const entries = Object.entries(at);
    const index = entries.length === 0 ? -1 : step % entries.length;
    if (how === 'remove' && rest.length === 0) {
      return Object.fromEntries(entries.filter((_, i) => i !== index));
    }
    if (how === 'add' && rest.length === 0) return Object.fromEntries([...entries, [name, value]]);
    return Object.fromEntries(
      entries.map(([key, item], i) => [
        key,
        i === index ? mutate(item, rest, how, name, value) : item,
      ]),
    );
  }
  if (how === 'text') return typeof at === 'string' ? value : at;
  if (how === 'wrap') return [at];
  if (how === 'repeat') return Array.from({ length: 50 }, () => at);
  return value;
}

/** A body that was right before it was changed in one to three places. */
export function mutatedBody(base: fc.Arbitrary<object>): fc.Arbitrary<string> {
  return fc
    .tuple(base, fc.array(mutation, { minLength: 1, maxLength: 3 }))
    .map(([body, mutations]) =>
      JSON.stringify(mutations.reduce<unknown>((value, change) => change(value), body) ?? null),
    );
}

/** What is no JSON, or JSON of the kinds that parsers differ about. */
export function brokenText(base: fc.Arbitrary<object>): fc.Arbitrary<string | Uint8Array> {
  const text = base.map((body) => JSON.stringify(body));
  const at = fc.double({ min: 0, max: 1, noNaN: true });
  const insert = fc.constantFrom(
    ...[
      '\0',
      '"',
      '\\',
      '{',
      '}',
      '[',
      ']',
      ',',
      ':',
      '\\ud800',
      '\\u0000',
      '1e999',
      '-',
      '//',
      '\ufeff',
    ],
    ...['"__proto__":{"stream":true},', '"model":"gpt-x",', '"messages":[],', '"stream":true,'],
    ...['NaN', 'Infinity', '0x10', '01', '\u2028', "'", '\r\n', '"tools":[],', '"a":'.repeat(10)],
  );
  return fc.oneof(
    fc.tuple(text, at).map(([whole, part]) => whole.slice(0, Math.floor(part * whole.length))),
    fc.tuple(text, at, insert).map(([whole, part, extra]) => {
      const index = Math.floor(part * whole.length);
      return whole.slice(0, index) + extra + whole.slice(index);
    }),
    fc.string({ unit: 'binary', maxLength: 200 }),
    fc.uint8Array({ maxLength: 200 }),
    text.map((whole) => Buffer.from(whole, 'utf16le')),
    text.map((whole) => Buffer.concat([Buffer.from([0xff, 0xfe, 0xc0, 0x80]), Buffer.from(whole)])),
    fc.integer({ min: 90, max: 20_000 }).map((depth) => '['.repeat(depth) + ']'.repeat(depth)),
    fc.integer({ min: 90, max: 20_000 }).map((depth) => '{"messages":'.repeat(depth)),
    fc.json({ maxDepth: 4 }),
  );
}
