import { parseJson } from '../../../src/gateway/http/json-body';
import { MAX_DEPTH, MAX_NODES } from '../../../src/gateway/http/json-limits';

const MIB = 1024 * 1024;
const many = (n: number, item: (i: number) => string): string =>
  Array.from({ length: n }, (_, i) => item(i)).join(',');

describe('a body that would keep the process busy for seconds is refused before it is parsed', () => {
  const parse = jest.spyOn(JSON, 'parse');
  beforeEach(() => parse.mockClear());
  afterAll(() => parse.mockRestore());

  test.each<[string, () => string, string]>([
    ['4 MB of brackets', () => '['.repeat(4 * MIB), 'invalid_json'],
    ['a text of 2,000,000 levels', () => '['.repeat(2 * MIB) + ']'.repeat(2 * MIB), 'invalid_json'],
    ['objects in objects', () => '{"a":'.repeat(MIB / 2), 'invalid_json'],
    [
      '100,000 messages',
      () => `[${many(1e5, (i) => `{"role":"user","content":"${i}"}`)}]`,
      'body_too_complex',
    ],
    ['300,000 members', () => `{${many(3e5, (i) => `"k${i}":1`)}}`, 'body_too_complex'],
    ['a million empty strings', () => `[${many(1e6, () => '""')}]`, 'body_too_complex'],
    ['100,000 tools', () => `{"tools":[${many(1e5, () => '{}')}]}`, 'body_too_complex'],
  ])('%s', (_, text, reason) => {
    expect(() => parseJson(text())).toThrow(
      expect.objectContaining({ status: 400, reason }) as Error,
    );
    expect(parse).not.toHaveBeenCalled();
  });
});

test('numbers do not count, nor what stands in strings: token ids and prose may be long', () => {
  const text = `{"input":[${many(1e6, (i) => `${i}`)}],"text":${JSON.stringify('{"[\\'.repeat(2e5))}}`;
  expect(parseJson(text)).toMatchObject({ input: { length: 1e6 } });
});

test('the limits are what they say', () => {
  const pad = ' '.repeat(100_000); // short texts are not looked at
  expect(parseJson(`${pad}[${many(MAX_NODES - 1, () => '""')}]`)).toHaveLength(MAX_NODES - 1);
  expect(() => parseJson(`${pad}[${many(MAX_NODES, () => '""')}]`)).toThrow(/too many parts/);
  for (const space of ['', pad]) {
    const nested = (depth: number): string => space + '['.repeat(depth) + ']'.repeat(depth);
    expect(parseJson(nested(MAX_DEPTH))).toBeDefined();
    expect(() => parseJson(nested(MAX_DEPTH + 1))).toThrow(/nested too deeply/);
  }
});

test.each(['1e999', '[{"a":-1e999}]'])('a number that no double holds is refused: %s', (text) => {
  expect(() => parseJson(text)).toThrow(/number that is too large/);
});

test('a member called __proto__ is a member', () => {
  const body = parseJson('{"__proto__":{"polluted":true},"a":"\\ud800"}') as object;
  expect(Object.keys(body)).toEqual(['__proto__', 'a']);
  expect(body).not.toHaveProperty('polluted');
});
