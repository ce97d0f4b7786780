import { StopStrings } from '../../../../../src/policies/language/generation/stop-strings';

/** The text in pieces of one character, and what is shown of it. */
function shown(stops: readonly string[], text: string): { text: string; stop: string | null } {
  const strings = new StopStrings(stops);
  let all = '';
  for (const character of text) {
    const { text: part, stop } = strings.push(character);
    all += part;
    if (stop !== null) return { text: all, stop };
  }
  return { text: all + strings.end(), stop: null };
}

test('a text ends before the first stop string', () => {
  expect(shown(['END', 'stop'], 'go on, stop here END')).toEqual({ text: 'go on, ', stop: 'stop' });
  expect(shown(['\n\n'], 'one\ntwo\n\nthree')).toEqual({ text: 'one\ntwo', stop: '\n\n' });
});

test('an end that could become a stop string waits, and is shown when nothing comes of it', () => {
  const strings = new StopStrings(['</end>']);
  expect(strings.push('a <')).toEqual({ text: 'a ', stop: null });
  expect(strings.push('/en')).toEqual({ text: '', stop: null });
  expect(strings.push('try')).toEqual({ text: '</entry', stop: null });
  expect(strings.push('</e')).toEqual({ text: '', stop: null });
  expect(strings.end()).toBe('</e');
});

test('a stop string that begins inside of a false start is found', () => {
  expect(shown(['aab'], 'aaab')).toEqual({ text: 'a', stop: 'aab' });
  expect(shown(['abab', 'ba'], 'xaba')).toEqual({ text: 'xa', stop: 'ba' });
});

test('of two that begin at one place the longer one counts, where both came at once', () => {
  expect(new StopStrings(['ab', 'abc']).push('xabc')).toEqual({ text: 'x', stop: 'abc' });
});

test('without stop strings, or with an empty one, all is shown', () => {
  expect(shown([], 'all')).toEqual({ text: 'all', stop: null });
  expect(shown([''], 'all')).toEqual({ text: 'all', stop: null });
});
