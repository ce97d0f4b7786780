import { spawnSync } from 'node:child_process';
import { join } from 'node:path';

const root = join(__dirname, '../../..');

const sdks = [
  '@aws-sdk/client-s3',
  '@opentelemetry/api',
  'onnxruntime-node',
  'openai',
  'openai/resources',
];
const everythingOfTemporal = ['workflow', 'activity', 'client', 'worker', 'common'].map(
  (name) => `@temporalio/${name}`,
);

/** What a file of each folder may not, and may, import. */
const arrows: readonly { file: string; never: readonly string[]; may: readonly string[] }[] = [
  {
    file: 'src/gateway/routes/example.ts',
    never: [
      ...everythingOfTemporal,
      ...sdks,
      '../../../workflows',
      '../../../workflows/training-run',
      '../../../activities/train',
      '../../../workers/env',
      '../../adapters/local-store',
      '../../adapters/ort/in-thread-runtime',
    ],
    may: ['node:fs', 'zod', 'hono', '../../storage/keys', '../../ports/trainer'],
  },
  {
    file: 'src/adapters/ort/example.ts',
    never: [
      ...everythingOfTemporal,
      '../../../workflows',
      '../../../activities/train',
      '../../../workers/env',
    ],
    may: [...sdks, '../dist-path', '../../errors'],
  },
  {
    file: 'activities/example.ts',
    never: [
      ...['workflow', 'client', 'worker'].map((name) => `@temporalio/${name}`),
      ...sdks,
      '../workflows',
      '../workflows/messages',
      '../workers/env',
      '../src/adapters/local-store',
    ],
    may: ['@temporalio/activity', '@temporalio/common', './heartbeat', '../src/storage/keys'],
  },
  {
    file: 'workflows/example.ts',
    never: [
      ...['activity', 'client', 'worker'].map((name) => `@temporalio/${name}`),
      ...sdks,
      'node:fs',
      'fs',
      'fs/promises',
      'node:crypto',
      'node:test', // only known with its prefix
      '../activities/train',
      '../src/adapters/dist-path',
      '../src/storage/keys',
      '../src/gateway/app',
    ],
    may: ['@temporalio/workflow', '@temporalio/common', './messages', '../src/loop/gate'],
  },
  {
    file: 'workers/example.ts',
    never: [],
    may: [
      ...everythingOfTemporal,
      ...sdks,
      'node:fs',
      '../workflows',
      '../activities/train',
      '../src/adapters/local-store',
      '../src/gateway/app',
    ],
  },
];

/** For each file the import lines that the linter refuses. */
function lint(files: readonly { file: string; code: string }[]): string[][] {
  const { stdout, stderr, status } = spawnSync(
    process.execPath,
    [join(__dirname, 'lint-imports.mjs')],
    { cwd: root, input: JSON.stringify(files), encoding: 'utf8' },
  );
  if (status !== 0) throw new Error(stderr);
  return JSON.parse(stdout) as string[][];
}

describe('the never-arrows', () => {
  const values = arrows.flatMap(({ file, never, may }) =>
    [...never, ...may].map((from) => ({ file, from, isNever: never.includes(from) })),
  );
  const types = ['../activities/train', '../src/storage/object-ref'];
  const line = (from: string): string => `import { x } from '${from}';`;
  const typeLine = (from: string): string => `import type { X } from '${from}';`;
  let refused: readonly string[][];
  beforeAll(() => {
    refused = lint([
      ...arrows.map(({ file, never, may }) => ({
        file,
        code: [...never, ...may].map(line).join('\n'),
      })),
      { file: 'workflows/example.ts', code: types.map(typeLine).join('\n') },
      { file: 'src/loop/example.ts', code: typeLine('../../activities/train') },
    ]);
  });

  it.each(values)('$file → $from is refused: $isNever', ({ file, from, isNever }) => {
    const index = arrows.findIndex((arrow) => arrow.file === file);
    expect(refused[index]?.includes(line(from))).toBe(isNever);
  });

  it('workflows may name the types of activities and of storage', () => {
    expect(refused[arrows.length]).toEqual([]);
  });

  it('src may not even name the types of activities', () => {
    expect(refused[arrows.length + 1]).toHaveLength(1);
  });
});
