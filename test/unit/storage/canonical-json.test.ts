import { InvalidInputError } from '../../../src/errors';
import { stream } from '../../../src/rl/counter-rng';
import { canonicalJson } from '../../../src/storage/canonical-json';
import { digestOf, digestOfJson, hexOf, sha256Hex } from '../../../src/storage/digest';

it('sorts keys by UTF-16 code units at every depth, whatever order they were set in', () => {
  // The example of RFC 8785, section 3.2.3: the emoji is a surrogate pair and so comes before U+FB33.
  const example = {
    '\u20ac': 1,
    '\r': 2,
    '\ufb33': 3,
    '1': 4,
    '\u{1f600}': 5,
    '\u0080': 6,
    '\u00f6': 7,
  };
  expect(canonicalJson(example)).toBe(
    '{"\\r":2,"1":4,"\u0080":6,"\u00f6":7,"\u20ac":1,"\u{1f600}":5,"\ufb33":3}',
  );
  expect(canonicalJson({ b: [{ d: 1, c: 2 }], a: null })).toBe('{"a":null,"b":[{"c":2,"d":1}]}');
});

it('writes numbers and strings as RFC 8785 shows them', () => {
  const numbers = [
    Number('333333333.33333329'),
    1e30,
    4.5,
    2e-3,
    0.000000000000000000000000001,
    -0,
  ];
  expect(canonicalJson(numbers)).toBe('[333333333.3333333,1e+30,4.5,0.002,1e-27,0]');
  expect(canonicalJson('\u20ac$\u000f\u000aA\'\u0042\u0022\u005c\\"/')).toBe(
    '"\u20ac$\\u000f\\nA\'B\\"\\\\\\\\\\"/"',
  );
});

it('leaves out properties that are undefined, and takes objects without a prototype', () => {
  expect(canonicalJson({ a: undefined, b: 1 })).toBe('{"b":1}');
  expect(canonicalJson(Object.assign(Object.create(null) as object, { a: 1 }))).toBe('{"a":1}');
});

it('gives values of every shape the spelling that parsing gives back, keys sorted', () => {
  const random = stream({ seed: 1, purpose: 'test.canonical-json' });
  const keys = ['a', 'B', 'ä', '\ufb33', '\u{1f600}', '10', '9', '__proto__', 'toJSON', '', 'a b'];
  const scalars = [null, true, -0, 1e21, 0.1, '', 'x"\n\u2028', '\u{1f600}', '10'];
  const value = (depth: number): unknown => {
    const kind = random.below(depth === 0 ? 1 : 3);
    if (kind === 0) return scalars[random.below(scalars.length)];
    const size = random.below(5);
    if (kind === 1) return Array.from({ length: size }, () => value(depth - 1));
    const members = Array.from({ length: size }, () => {
      return [keys[random.below(keys.length)] as string, value(depth - 1)] as const;
    });
    return Object.fromEntries(members);
  };
  for (let n = 0; n < 500; n++) {
    const any = value(5);
    const text = canonicalJson(any);
    const sortedKeys = (json: unknown): string => {
      if (Array.isArray(json)) return `[${json.map(sortedKeys).join(',')}]`;
      if (typeof json !== 'object' || json === null) return JSON.stringify(json);
      const members = Object.entries(json).sort(([a], [b]) => (a < b ? -1 : 1));
      return `{${members.map(([key, one]) => `${JSON.stringify(key)}:${sortedKeys(one)}`).join(',')}}`;
    };
    expect(text).toBe(sortedKeys(JSON.parse(JSON.stringify(any))));
    expect(JSON.parse(text)).toEqual(JSON.parse(JSON.stringify(any)));
  }
});

it('does not change what it is given', () => {
  const value = { b: [{ d: 1, c: undefined }], a: { z: 1, y: { x: 1, w: 2 } } };
  const before = JSON.stringify(value);
  canonicalJson(value);
  expect(JSON.stringify(value)).toBe(before);
});

it('goes as deep as a value does', () => {
  let deep: unknown = 1;
  for (let i = 0; i < 500; i++) deep = { b: deep, a: i };
  expect(canonicalJson(deep)).toMatch(/^\{"a":499,"b":\{"a":498,/);
});

const cyclic: Record<string, unknown> = {};
cyclic['self'] = cyclic;
it.each([
  ['NaN', { a: [1, NaN] }, '$.a[1]'],
  ['an infinity', { a: -Infinity }, '$.a'],
  ['undefined in an array', [undefined], '$[0]'],
  ['a hole', new Array<number>(1), '$[0]'],
  ['nothing at all', undefined, '$'],
  ['a bigint', { n: 1n }, '$.n'],
  ['a function', { f: () => 1 }, '$.f'],
  ['a Date', { at: new Date(0) }, '$.at'],
  ['a Map', new Map([['a', 1]]), '$'],
  ['a typed array', { x: new Float32Array(2) }, '$.x'],
  ['half a surrogate pair', { s: '\ud800' }, '$.s'],
  ['half a surrogate pair in a key', { '\udc00': 1 }, '$.\udc00'],
  ['a cycle', cyclic, '$.self'],
])('refuses %s and names where it is', (_, value, path) => {
  expect(() => canonicalJson(value)).toThrow(InvalidInputError);
  expect(() => canonicalJson(value)).toThrow(`[path=${path}]`);
});

it('allows the same object twice where that is no cycle', () => {
  const shared = { a: 1 };
  expect(canonicalJson([shared, shared])).toBe('[{"a":1},{"a":1}]');
});

it('the digest of a value does not depend on the order it was built in', () => {
  expect(digestOfJson({ a: 1, b: 2 })).toBe(digestOfJson({ b: 2, a: 1 }));
  expect(digestOfJson({ a: 1, b: 2 })).not.toBe(digestOfJson({ a: 2, b: 1 }));
});

it('digests are the sha256 that everyone computes', () => {
  const empty = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855';
  expect([sha256Hex(new Uint8Array(0)), digestOf('')]).toEqual([empty, `sha256:${empty}`]);
  expect(hexOf(digestOf(''))).toBe(empty);
});
