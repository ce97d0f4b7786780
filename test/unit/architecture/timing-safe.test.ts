import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const ROOT = join(__dirname, '../../../src/gateway');
/** What a secret is called, in a comparison that tells by its time how much of it was right. */
const COMPARISON = /(\S+)\s*(?:===|!==|==|!=)\s*([^\s;)]+)/g;
const SECRET = /(?:^|[.!(])(?:secret|signature|signed|tag|mac|hash|given|token|apiKey|bearer)\b/i;
/** Whether there is one at all, or of which kind it is: that tells nothing. */
const HARMLESS = /^(?:undefined|null|''|'[a-z]+'|\d+|.*\.length)$/;

function comparisonsOfSecrets(text: string): string[] {
  return [...text.matchAll(COMPARISON)]
    .filter(([, left = '', right = '']) => SECRET.test(left) || SECRET.test(right))
    .filter(([, left = '', right = '']) => !HARMLESS.test(left) && !HARMLESS.test(right))
    .map(([found]) => found);
}

test('secrets are compared in a time that does not depend on how much of them is right', () => {
  const found = readdirSync(ROOT, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .flatMap((name) =>
      comparisonsOfSecrets(readFileSync(join(ROOT, name), 'utf8')).map(
        (text) => `${name}: ${text}`,
      ),
    );
  expect(found).toEqual([]);
});

test.each([
  ['if (signature === expected) return;', 1],
  ['return record.hash !== hashOf(key);', 1],
  ['given.length !== expected.length', 0],
  ['if (signature === undefined) throw x;', 0],
  ["if (token === '') throw x;", 0],
])('the check sees %s', (text, count) => {
  expect(comparisonsOfSecrets(text)).toHaveLength(count);
});
