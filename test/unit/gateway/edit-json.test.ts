import { editJson, findTwice, type JsonEdit } from '../../../src/gateway/http/edit-json';

const set = (path: JsonEdit['path'], to: unknown, isAdded = false): JsonEdit => ({
  path,
  to: to === undefined ? null : JSON.stringify(to),
  isAdded,
});

test('a member gets another value, and every other byte stays', () => {
  const text = '{ "seed" : 12345678901234567890,\t"model": "cheap", "x":[1, {"model":"inner"}] }';
  expect(editJson(text, [set(['model'], 'dear')])).toBe(text.replace('"cheap"', '"dear"'));
});

test.each([
  ['{"a":1,"b":2,"c":3}', ['a'], '{"b":2,"c":3}'],
  ['{"a":1,"b":2,"c":3}', ['b'], '{"a":1,"c":3}'],
  ['{"a":1,"b":2,"c":3}', ['c'], '{"a":1,"b":2}'],
  ['{"a":1,"b":2,"c":3}', ['a', 'b'], '{"c":3}'],
  ['{"a":1,"b":2,"c":3}', ['b', 'c'], '{"a":1}'],
  ['{"a":1,"b":2,"c":3}', ['a', 'c'], '{"b":2}'],
  ['{"a":1,"b":2,"c":3}', ['a', 'b', 'c'], '{}'],
  ['{ "a" : {"b":[1,"]}"]} , "c":3 }', ['a'], '{ "c":3 }'],
])('of %s the members %s go', (text, names, expected) => {
  const edited = editJson(
    text,
    names.map((name) => set([name], undefined)),
  );
  expect(JSON.parse(edited)).toEqual(JSON.parse(expected));
});

test('a member that is not there is put in where that is asked for, with the objects around it', () => {
  const edits = [set(['stream_options', 'include_usage'], true, true), set(['model'], 'x')];
  expect(editJson('{}', edits)).toBe('{"stream_options":{"include_usage":true}}');
  expect(editJson('{"a":1}', edits)).toBe('{"stream_options":{"include_usage":true},"a":1}');
  expect(editJson('{"stream_options":{"y":2}}', edits)).toBe(
    '{"stream_options":{"include_usage":true,"y":2}}',
  );
  expect(editJson('{"stream_options":{"include_usage":false}}', edits)).toBe(
    '{"stream_options":{"include_usage":true}}',
  );
});

test('one that takes the place of what was cut leaves valid JSON', () => {
  const edited = editJson('{"a":1}', [set(['a'], undefined), set(['b'], 2, true)]);
  expect(JSON.parse(edited)).toEqual({ b: 2 });
});

test('a path through arrays changes every element', () => {
  const text = '{"choices":[{"index":0,"token_ids":[1,2]}, {"token_ids":[3],"index":1},7]}';
  expect(editJson(text, [set(['choices', '*', 'token_ids'], undefined)])).toBe(
    '{"choices":[{"index":0}, {"index":1},7]}',
  );
});

test('of an array one element can be changed, and others put before it or at its end', () => {
  const text = '{"m": [ {"c":"a"} , {"c":1.50} ]}';
  const insert = (at: string, to: string): JsonEdit => ({ path: ['m', at], to, isInserted: true });
  expect(editJson(text, [set(['m', '0', 'c'], 'b'), insert('1', '7,8')])).toBe(
    '{"m": [ {"c":"b"} , 7,8,{"c":1.50} ]}',
  );
  expect(editJson(text, [insert('2', '7')])).toBe('{"m": [ {"c":"a"} , {"c":1.50} ,7]}');
  expect(editJson('{"m":[]}', [insert('0', '7')])).toBe('{"m":[7]}');
  expect(editJson('{"m":[1,2]}', [set(['m', '1'], 3)])).toBe('{"m":[1,3]}');
  expect(editJson('{"m":[1,2]}', [insert('5', '3')])).toBe('{"m":[1,2]}');
});

test('brackets and quotes within strings are text', () => {
  const text = String.raw`{"a":"}\"]{","b":["\\",{"c":"\""}],"model":"m"}`;
  expect(editJson(text, [set(['model'], 'n')])).toBe(text.replace('"m"', '"n"'));
});

test('a name may be written with escapes', () => {
  expect(editJson(String.raw`{"mod\u0065l":1}`, [set(['model'], 2)])).toBe(
    String.raw`{"mod\u0065l":2}`,
  );
});

test('of members of one name all are changed', () => {
  expect(editJson('{"a":1,"b":0,"a":2}', [set(['a'], 3, true)])).toBe('{"a":3,"b":0,"a":3}');
});

test('a name that is there twice is found, however it is written', () => {
  const text = String.raw`{"model":"cheap","other":1,"mod\u0065l":"dear","other":2}`;
  expect(findTwice(text, ['messages', 'model'])).toBe('model');
  expect(findTwice(text, ['messages'])).toBeNull();
  expect(findTwice('{"model":1,"x":{"model":2}}', ['model'])).toBeNull();
});

test('is as deep as its paths: a text of any depth is passed over', () => {
  const deep = '['.repeat(100_000) + ']'.repeat(100_000);
  expect(editJson(`{"x":${deep},"model":1}`, [set(['model'], 2)])).toBe(`{"x":${deep},"model":2}`);
});
