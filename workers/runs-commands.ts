import { createWriteStream } from 'node:fs';
import { rename, rm, stat } from 'node:fs/promises';
import { pipeline } from 'node:stream/promises';
import { Command, InvalidArgumentError } from 'commander';
import { InvalidInputError, RatchetError } from '../src/errors';
import { rate } from '../src/loop/markdown';
import type { ExportedLine } from '../src/runs/export-trajectories';
import type { RunSummary, StoredIteration, StoredRun } from '../src/runs/run-catalog';
import { shortDigest } from '../src/schemas/ids';
import type { Environment } from './env';
import { textTable } from './text-table';

/** `ratchet runs list | show | export`: what runs left in the store. Needs no Temporal server. */
export function runsCommands(env: () => Environment): Command {
  const print = (text: string): void => void process.stdout.write(`${text}\n`);
  const runs = new Command('runs').description('Runs as they stand in the store.');
  runs
    .command('list')
    .description('All runs, the newest first.')
    .option('--json', 'print one line of JSON')
    .action(async (options: { json?: boolean }) => {
      const { openStore } = await import('./open-store.js');
      const { listRuns } = await import('../src/runs/run-catalog.js');
      const found = await listRuns(await openStore(env()), (run, error) => {
        process.stderr.write(
          `${run} is left out, its records are damaged: ${error.message}; \`ratchet store verify\` puts what is damaged into quarantine\n`,
        );
        process.exitCode = 1;
      });
      print(options.json === true ? JSON.stringify(found) : renderRuns(found));
    });
  runs
    .command('show')
    .argument('<run>', 'its name, or a beginning of it that no other run has')
    .description('One run: its learning curve, and what became of its rollouts.')
    .option('--json', 'print one line of JSON')
    .action(async (name: string, options: { json?: boolean }) => {
      const { openStore } = await import('./open-store.js');
      const { findRun, readSelectRun } = await import('../src/runs/run-catalog.js');
      const store = await openStore(env());
      const run = await findRun(store, name);
      const select = await readSelectRun(store, run.run);
      print(options.json === true ? JSON.stringify({ ...run, select }) : renderRun(run, select));
    });
  runs
    .command('export')
    .argument('<run>', 'its name, or a beginning of it that no other run has')
    .description('Trajectories with their messages and rewards, one JSON object per line.')
    .option('--format <format>', 'jsonl', 'jsonl')
    .option('--iteration <n>', 'only this one, from 1', iterationNumber)
    .option('--out <file>', 'a file; it appears once it is complete')
    .action(async (name: string, options: { format: string; iteration?: number; out?: string }) => {
      if (options.format !== 'jsonl')
        throw new InvalidArgumentError(`--format: expected jsonl, got ${options.format}`);
      const { openStore } = await import('./open-store.js');
      const { findRun } = await import('../src/runs/run-catalog.js');
      const { exportTrajectories } = await import('../src/runs/export-trajectories.js');
      const store = await openStore(env());
      const run = await findRun(store, name);
      const rows = exportTrajectories(
        store,
        run,
        options.iteration === undefined ? {} : { iteration: options.iteration },
      );
      const written = await writeLines(rows, options.out);
      process.stderr.write(
        `${written} trajectories${options.out === undefined ? '' : ` in ${options.out}`}\n`,
      );
    });
  return runs;
}

function iterationNumber(text: string): number {
  const value = Number(text);
  if (Number.isInteger(value) && value >= 1) return value;
  throw new InvalidArgumentError('expected a whole number, at least 1');
}

export function renderRuns(runs: readonly RunSummary[]): string {
  if (runs.length === 0)
    return 'There are no runs in this store yet. `npm start` makes one, and `temporal workflow start` yours.';
  return textTable(
    ['run', 'kind', 'policy', 'iterations', 'last reward', 'checkpoint', 'last record'],
    runs.map(({ run, kind, policy, iterations, reward, checkpoint, lastAt, droppedAt }) => [
      ...[run, kind, policy],
      iterations === null ? '–' : `${iterations.done}/${iterations.of}`,
      rate(reward),
      checkpoint === null ? '–' : shortDigest(checkpoint),
      `${lastAt.slice(0, 19)}Z${droppedAt === null ? '' : ' (trajectories dropped)'}`,
    ]),
  );
}

export function renderRun(
  { run, record, created, iterations, droppedAt }: StoredRun,
  select: StoredRun | null,
): string {
  const target = record?.kind === 'training' ? record.config.gate.target : null;
  // Iteration n's checkpoint is measured as iteration n of the select rollouts; 0 is what it began with.
  const measured = new Map(
    (select?.iterations ?? []).map(({ iteration, scored }) => [
      iteration,
      target === null ? null : (scored?.metrics[target] ?? null),
    ]),
  );
  const head = [
    `run         ${run}`,
    ...(record === null
      ? []
      : [
          `policy      ${record.policy}`,
          `dataset     ${record.dataset.name} ${shortDigest(record.dataset.digest)}`,
          `opened      ${record.openedAt}`,
        ]),
    ...(created === null ? [] : [`created     ${shortDigest(created.checkpoint)}`]),
    ...(droppedAt === null ? [] : [`trajectories dropped by garbage collection on ${droppedAt}`]),
  ];
  if (iterations.length === 0) return [...head, '', 'No batch was scored yet.'].join('\n');
  const base = measured.get(0);
  const curve = [
    ...(base === undefined ? [] : [['0', '–', '–', '–', rate(base), '–', '–', '–']]),
    ...iterations.map(({ iteration, scored, trained }) => [
      nameOf(record, iteration),
      scored === null ? '–' : String(scored.rollouts),
      scored === null ? '–' : String(sum(scored.drops)),
      rate(scored?.reward ?? null),
      rate(measured.get(iteration + 1) ?? null),
      trained?.metrics['loss']?.toFixed(4) ?? '–',
      trained === null ? '–' : shortDigest(trained.checkpoint),
      `${(trained?.at ?? scored?.at ?? '').slice(0, 19)}Z`,
    ]),
  ];
  const reasons = [
    ...new Set(iterations.flatMap(({ scored }) => Object.keys(scored?.drops ?? {}))),
  ];
  const outcomes = [
    ...new Set(iterations.flatMap(({ scored }) => Object.keys(scored?.outcomes ?? {}))),
  ];
  return [
    ...head,
    '',
    textTable(
      ['iteration', 'rollouts', 'dropped', 'reward', 'select', 'loss', 'checkpoint', 'when'],
      curve,
    ),
    '',
    textTable(
      [
        'iteration',
        ...outcomes.sort(),
        ...reasons.sort().map((reason) => `dropped: ${reason}`),
        'repeated',
      ],
      iterations.map(({ iteration, scored, repeated }) => [
        nameOf(record, iteration),
        ...outcomes.map((outcome) => String(scored?.outcomes[outcome] ?? 0)),
        ...reasons.map((reason) => String(scored?.drops[reason] ?? 0)),
        String(repeated),
      ]),
    ),
  ].join('\n');
}

function nameOf(record: StoredRun['record'], iteration: StoredIteration['iteration']): string {
  if (record?.kind !== 'evaluation') return String(iteration + 1);
  return iteration === 0 ? 'baseline' : 'candidate';
}

const sum = (counts: Readonly<Record<string, number>>): number =>
  Object.values(counts).reduce((total, count) => total + count, 0);

/** Writes line by line, as fast as the reader takes them. @returns how many trajectories. */
async function writeLines(
  rows: AsyncIterable<ExportedLine>,
  path: string | undefined,
): Promise<number> {
  let written = 0;
  async function* lines(): AsyncGenerator<string> {
    for await (const row of rows) {
      yield `${JSON.stringify(row)}\n`;
      if (row.type === 'trajectory') written += 1;
    }
  }
  if (path === undefined) {
    await pipeline(lines, process.stdout, { end: false });
    return written;
  }
  await assertFilePlace(path);
  const partial = `${path}.${process.pid}.partial`; // two exports to one file are one of the two
  try {
    await pipeline(lines, createWriteStream(partial));
    await rename(partial, path);
    return written;
  } catch (error) {
    await rm(partial, { force: true }).catch(() => undefined); // the failure before it is the one that counts
    if (error instanceof RatchetError) throw error;
    throw new InvalidInputError(
      'the export could not be written: expected a place with room, in a folder that is there and may be written to',
      { context: { out: path }, cause: error },
    );
  }
}

/** The complete file takes the place's name: a device or a folder of that name must not lose it. */
async function assertFilePlace(path: string): Promise<void> {
  const found = await stat(path).catch(() => null);
  if (path !== '' && (found === null || found.isFile())) return;
  const got = path === '' ? 'an empty name' : found?.isDirectory() ? 'a folder' : 'no plain file';
  throw new InvalidInputError(
    `--out: expected the name of a file, got ${got}; without --out the lines go to standard output`,
    { context: { out: path } },
  );
}
