import { findJsonError } from '../../../src/gateway/http/json-error';
import { stream } from '../../../src/rl/counter-rng';

describe('the place of a JSON error', () => {
  test.each([
    ['{"a": 1,}', 8, 'a key in double quotes'],
    ['{"a" 1}', 5, '":"'],
    ['[1 2]', 3, '"," or "]"'],
    ['[1, 2', 5, '"," or "]"'],
    ['{"a": tru}', 6, 'a value'],
    ['{"a": "b\n"}', 8, 'a double quote that ends the string'],
    ['{"a": "\\x"}', 7, 'an escape sequence'],
    ['{} x', 3, 'the end'],
    ['', 0, 'a value'],
    ["{'a': 1}", 1, 'a key in double quotes'],
  ])('of %j is %i', (text, offset, expected) => {
    expect(findJsonError(text)).toMatchObject({ offset, expected });
  });

  test('is told by line and column too', () => {
    expect(findJsonError('{\n  "a": 1,\n  b\n}')).toMatchObject({ line: 3, column: 3 });
  });

  test('is found exactly where JSON.parse finds one, for 20,000 damaged texts', () => {
    const random = stream({ seed: 1, purpose: 'test.json-error' });
    const whole = '{"a":[1,-2.5e3,true,null,"x\\u00e9\\n"],"b":{"c":{}},"d":[]} ';
    const characters = '{}[]",:\\0-.eE+ntrue x\n';
    for (let i = 0; i < 20_000; i++) {
      const at = random.below(whole.length);
      const put = characters[random.below(characters.length)] ?? '';
      const text = whole.slice(0, at) + put + whole.slice(at + random.below(3));
      let isJson = true;
      try {
        JSON.parse(text);
      } catch {
        // The question is only whether it is JSON.
        isJson = false;
      }
      if ((findJsonError(text) === null) !== isJson) throw new Error(`differs for ${text}`);
    }
  });

  test('does not overflow the stack', () => {
    expect(findJsonError('['.repeat(1_000_000))?.offset).toBe(1_000_000);
    expect(findJsonError(`"${'\\n'.repeat(1_000_000)}`)?.offset).toBe(2_000_001);
  });
});
