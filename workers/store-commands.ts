import { stat } from 'node:fs/promises';
import { Command, InvalidArgumentError } from 'commander';
import { InvalidInputError } from '../src/errors';
import type { CollectReport, Tally } from '../src/integrity/collect-garbage';
import type { Finding, VerifyReport } from '../src/integrity/verify-store';
import type { OpenWorkflows } from '../src/ports/open-workflows';
import { Duration, durationMs } from '../src/schemas/duration';
import type { ObjectStore } from '../src/storage/object-store';
import type { Environment } from './env';
import { bytesText, textTable } from './text-table';

interface Console {
  readonly print: (line: string) => void;
  /** One line that replaces the one before, on a terminal; now and then a line of its own elsewhere. */
  readonly progress: (line: string) => void;
}

/**
 * The store, which must be there: a name that was mistyped must not read as a store that is whole.
 *
 * @throws {InvalidInputError} where it is a folder that is not there.
 */
async function openExisting(env: Environment): Promise<ObjectStore> {
  const { openStore } = await import('./open-store.js');
  if (env.store.kind === 'file') {
    const { root } = env.store;
    if ((await stat(root).catch(() => null)) === null) {
      throw new InvalidInputError(
        'there is no store: expected a folder, got nothing that can be seen; name it in RATCHET_STORE or RATCHET_HOME',
        { context: { root } },
      );
    }
  }
  return openStore(env);
}

/** `ratchet store verify | gc`. Both work on a store that is in use. */
export function storeCommands(env: () => Environment): Command {
  const store = new Command('store').description('The object store: is it whole, what is garbage.');
  store
    .command('verify')
    .description(
      'Check every committed object against its hash. Damage is put into quarantine; exit code 1 if there is any.',
    )
    .option('--deep', 'also read what is inside: every line of every segment, every tensor')
    .option('--no-quarantine', 'only report')
    .option('--dry-run', 'only report')
    .option('--json', 'print one line of JSON')
    .action(
      async (options: {
        deep?: boolean;
        quarantine: boolean;
        dryRun?: boolean;
        json?: boolean;
      }) => {
        const { verifyStore } = await import('../src/integrity/verify-store.js');
        const { print, progress } = terminal();
        const report = await verifyStore(await openExisting(env()), {
          isDeep: options.deep === true,
          doesQuarantine: options.quarantine && options.dryRun !== true,
          onProgress: ({ done, of, bytes }) =>
            progress(`${done} of ${of} objects, ${bytesText(bytes)} read`),
        });
        print(options.json === true ? JSON.stringify(toJson(report)) : renderVerify(report));
        if (report.findings.length > 0) process.exitCode = 1;
      },
    );
  store
    .command('gc')
    .description('Remove what nothing names. What is reachable stays, always.')
    .option('--older-than <age>', 'only what has been garbage for so long', age, '7d')
    .option(
      '--runs-older-than <age>',
      'also the trajectories of runs that ended so long ago, and the checkpoints that only they name',
      age,
    )
    .option('--dry-run', 'change nothing, say what would go')
    .option(
      '--assume-no-open-runs',
      'do not ask Temporal which runs are open: for a store that nobody uses',
    )
    .option('--json', 'print one line of JSON')
    .action(
      async (options: {
        olderThan: string;
        runsOlderThan?: string;
        dryRun?: boolean;
        assumeNoOpenRuns?: boolean;
        json?: boolean;
      }) => {
        const { collectGarbage } = await import('../src/integrity/collect-garbage.js');
        const { print, progress } = terminal();
        const olderThanMs = durationMs(options.olderThan);
        const isAlone = options.assumeNoOpenRuns === true;
        if (!isAlone && olderThanMs < VISIBLE_AFTER_MS) {
          throw new InvalidArgumentError(
            `--older-than must be at least 1m: a run that has just begun may not be in the server's list yet; or pass --assume-no-open-runs if nothing runs`,
          );
        }
        const temporal = isAlone ? NO_WORKFLOWS : await askTemporal(env());
        try {
          const report = await collectGarbage(await openExisting(env()), {
            workflows: temporal.workflows,
            olderThanMs,
            runsOlderThanMs:
              options.runsOlderThan === undefined ? null : durationMs(options.runsOlderThan),
            isDryRun: options.dryRun === true,
            onProgress: ({ doing, done }) => progress(done === 0 ? doing : `${doing}: ${done}`),
          });
          print(
            options.json === true
              ? JSON.stringify(toJson(report))
              : renderCollect(report, options.dryRun === true, options.olderThan),
          );
        } finally {
          await temporal.close();
        }
      },
    );
  return store;
}

/** How long after its start a workflow is in every listing: the server's index follows its history. */
const VISIBLE_AFTER_MS = 60_000;

const NO_WORKFLOWS = {
  workflows: { openWorkflowIds: async () => new Set<string>() },
  close: async (): Promise<void> => undefined,
};

async function askTemporal(
  env: Environment,
): Promise<{ readonly workflows: OpenWorkflows; close(): Promise<void> }> {
  const { openWorkflows } = await import('./open-workflows.js');
  return openWorkflows(env);
}

function age(text: string): string {
  const parsed = Duration.safeParse(text);
  if (parsed.success) return parsed.data;
  throw new InvalidArgumentError('expected a number and ms, s, m, h or d, e.g. 7d');
}

export function renderVerify({ checked, findings, unnamed, inQuarantine }: VerifyReport): string {
  if (checked.size === 0 && findings.length === 0)
    return 'The store is empty: nothing was checked. Is it the one that RATCHET_STORE or RATCHET_HOME was to name?';
  const rows = [...checked]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([kind, { objects, bytes }]) => {
      const bad = findings.filter((finding) => finding.kind === kind).length;
      return [kind, String(objects), bytesText(bytes), String(bad)];
    });
  const summary = [
    textTable(['what', 'objects', 'size', 'findings'], rows),
    '',
    `${unnamed.objects} objects (${bytesText(unnamed.bytes)}) are named by nothing: \`ratchet store gc\` removes them in time.`,
    ...(inQuarantine === 0
      ? []
      : [`${inQuarantine} damaged objects lie below v1/quarantine/, each with a note.`]),
  ];
  if (findings.length === 0) return [...summary, 'The store is whole.'].join('\n');
  return [...summary, '', ...findings.flatMap(renderFinding)].join('\n');
}

function renderFinding({ problem, key, expected, got, action, help }: Finding): string[] {
  const became = {
    quarantined: 'its bytes are in quarantine',
    kept: 'it stays in its place, a copy is in quarantine',
    intact: 'it is whole now',
    gone: 'it is gone now',
    reported: 'nothing was changed',
  }[action.kind];
  return [
    `${problem}: ${key}`,
    `  expected ${expected}`,
    `  got      ${got}`,
    `  ${became}; ${help}`,
  ];
}

export function renderCollect(
  { removed, waiting, kept, dropped, unknown, notes }: CollectReport,
  isDryRun: boolean,
  olderThan: string,
): string {
  const kinds = [...new Set([...removed.keys(), ...waiting.keys()])].sort();
  const cells = (tally: Tally | undefined): string[] =>
    tally === undefined ? ['–', '–'] : [String(tally.objects), bytesText(tally.bytes)];
  const verb = isDryRun ? 'would remove' : 'removed';
  const total = (tallies: ReadonlyMap<string, Tally>): number =>
    [...tallies.values()].reduce((sum, { bytes }) => sum + bytes, 0);
  return [
    ...(kinds.length === 0
      ? ['Nothing is garbage.']
      : [
          textTable(
            ['what', verb, 'size', `not yet ${olderThan} old`, 'size'],
            kinds.map((kind) => [kind, ...cells(removed.get(kind)), ...cells(waiting.get(kind))]),
          ),
          '',
        ]),
    `${verb} ${bytesText(total(removed))}; kept ${kept.objects} objects, ${bytesText(kept.bytes)}.`,
    ...(waiting.size === 0
      ? []
      : [
          `${bytesText(total(waiting))} of garbage wait until they have been garbage for ${olderThan}${isDryRun ? ', counted from the first run without --dry-run' : ''}.`,
        ]),
    ...dropped.map((run) => `${isDryRun ? 'would drop' : 'dropped'} run ${run}`),
    ...(unknown === 0 ? [] : [`${unknown} objects are not Ratchet's, and were left alone.`]),
    ...notes.map((note) => `note: ${note}`),
  ].join('\n');
}

/** Maps as objects. */
function toJson(report: object): unknown {
  return Object.fromEntries(
    Object.entries(report).map(([name, value]: [string, unknown]) => [
      name,
      value instanceof Map ? (Object.fromEntries(value) as unknown) : value,
    ]),
  );
}

const LINE_EVERY_MS = 10_000;

function terminal(): Console {
  const { stderr } = process;
  let lastAt = Date.now();
  let isOpen = false;
  return {
    print(line) {
      if (isOpen) stderr.write('\r\x1b[K');
      process.stdout.write(`${line}\n`);
    },
    progress(line) {
      const every = stderr.isTTY ? 100 : LINE_EVERY_MS;
      if (Date.now() - lastAt < every) return;
      lastAt = Date.now();
      stderr.write(stderr.isTTY ? `\r\x1b[K${line}` : `${line}\n`);
      isOpen = stderr.isTTY;
    },
  };
}
