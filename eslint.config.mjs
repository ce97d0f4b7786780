import { builtinModules } from 'node:module';
import eslint from '@eslint/js';
import importPlugin from 'eslint-plugin-import';
import tseslint from 'typescript-eslint';

// The folders are the architecture (README, "Map"): these are the arrows that must never exist.
const NODE = builtinModules.flatMap((name) => [name, `node:${name}`]); // exact paths: as a pattern, 'events' would also hit './events'
const SDKS = [
  '@aws-sdk/*',
  '@opentelemetry/*',
  'onnxruntime-node',
  'onnxruntime-*',
  'openai',
  'openai/*',
];
const temporal = (...names) => names.map((name) => `@temporalio/${name}`);
// A folder's pattern ('**/workers') also holds for everything in it.
const never = (files, group, { ignores = [], typesOk = false, paths = [], more = [] } = {}) => ({
  files,
  ignores,
  rules: {
    '@typescript-eslint/no-restricted-imports': [
      'error',
      {
        paths,
        patterns: [
          { group, allowTypeImports: typesOk, message: 'a never-arrow: see "Map" in README.md' },
          ...more,
        ],
      },
    ],
  },
});

export default tseslint.config(
  { ignores: ['dist/**', 'node_modules/**', 'coverage/**', '.ratchet/**'] },
  eslint.configs.recommended,
  {
    files: ['**/*.ts'],
    extends: [...tseslint.configs.recommendedTypeChecked],
    plugins: { import: importPlugin },
    languageOptions: {
      parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname },
    },
    settings: {
      'import/parsers': { '@typescript-eslint/parser': ['.ts'] },
      'import/resolver': { node: { extensions: ['.ts', '.js'] } },
    },
    rules: {
      eqeqeq: 'error',
      'import/no-cycle': 'error',
      'import/no-default-export': 'error',
      '@typescript-eslint/no-floating-promises': 'error',
      '@typescript-eslint/consistent-type-imports': 'error',
      '@typescript-eslint/explicit-module-boundary-types': 'error',
      '@typescript-eslint/switch-exhaustiveness-check': [
        'error',
        { considerDefaultExhaustiveForUnions: true },
      ],
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_' }],
      '@typescript-eslint/restrict-template-expressions': [
        'error',
        { allowNumber: true, allowBoolean: true },
      ],
      '@typescript-eslint/require-await': 'off', // ports are async; a fake of one may have nothing to wait for
    },
  },
  never(
    ['src/**/*.ts'],
    ['@temporalio/*', '**/workflows', '**/activities', '**/workers', '**/adapters', ...SDKS],
    { ignores: ['src/adapters/**'] },
  ),
  never(['src/adapters/**/*.ts'], ['@temporalio/*', '**/workflows', '**/activities', '**/workers']),
  never(
    ['activities/**/*.ts'],
    [
      ...temporal('workflow', 'client', 'worker'),
      '**/workflows',
      '**/workers',
      '**/adapters',
      ...SDKS,
    ],
  ),
  never(
    ['workflows/**/*.ts'],
    [
      ...temporal('activity', 'client', 'worker'),
      '**/activities',
      '**/adapters',
      '**/storage',
      '**/gateway',
      ...SDKS,
    ],
    { typesOk: true, paths: NODE, more: [{ regex: '^node:' }] }, // some, as node:test, are not among builtinModules
  ),
  { files: ['workflows/**/*.ts'], rules: { 'no-restricted-globals': ['error', 'process'] } },
  {
    files: ['**/*.cjs', '**/*.mjs'],
    languageOptions: {
      globals: {
        require: 'readonly',
        module: 'writable',
        __dirname: 'readonly',
        process: 'readonly',
        console: 'readonly',
        jest: 'readonly',
      },
    },
  },
);
