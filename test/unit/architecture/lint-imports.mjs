// Lints imports with the project's own configuration, but only with the rule of the never-arrows, which needs no types.
// In: [{ file, code }] as JSON on standard input. Out: for each the modules that are refused, as JSON.
// A process of its own, since ESLint imports its configuration dynamically, which jest's sandbox does not allow.
import { readFileSync } from 'node:fs';
import { ESLint, Linter } from 'eslint';

const RULE = '@typescript-eslint/no-restricted-imports';
const eslint = new ESLint();
const linter = new Linter();
const answers = [];
for (const { file, code } of JSON.parse(readFileSync(0, 'utf8'))) {
  const { rules, plugins, languageOptions } = await eslint.calculateConfigForFile(file);
  const messages = linter.verify(code, {
    plugins,
    languageOptions: { parser: languageOptions.parser },
    rules: { [RULE]: rules[RULE] ?? 'off' },
  });
  const fatal = messages.find((message) => message.fatal);
  if (fatal !== undefined) throw new Error(`${file}: ${fatal.message}`);
  answers.push(messages.map(({ line }) => code.split('\n')[line - 1]));
}
process.stdout.write(JSON.stringify(answers));
