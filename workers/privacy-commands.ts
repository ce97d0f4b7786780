import { Command, InvalidArgumentError } from 'commander';
import type { RetainReport } from '../src/erasure/retain';
import { InvalidInputError } from '../src/errors';
import type { ReplacedReport } from '../src/privacy/count-replaced';
import { Duration, durationMs } from '../src/schemas/duration';
import { Name } from '../src/schemas/ids';
import type { Environment } from './env';
import { textTable } from './text-table';

const print = (text: string): void => void process.stdout.write(`${text}\n`);

/** `ratchet privacy report | retain`. */
export function privacyCommands(env: () => Environment): Command {
  const privacy = new Command('privacy').description(
    'What was replaced in what is stored, and how long it is kept.',
  );
  privacy
    .command('report')
    .description('What was replaced, by agent and kind; never what it was.')
    .option('--agent <name>', 'only of this agent', agentName)
    .option('--since <age>', 'how far back', age, age('30d'))
    .option('--json', 'print one line of JSON')
    .action(async (options: { agent?: string; since: number; json?: boolean }) => {
      const { openStore } = await import('./open-store.js');
      const { countReplaced } = await import('../src/privacy/count-replaced.js');
      const nowMs = Date.now();
      const agents = options.agent === undefined ? null : [options.agent];
      const range = { fromMs: nowMs - options.since, toMs: nowMs };
      const report = await countReplaced(await openStore(env()), agents, range);
      if (options.json !== true) return print(renderReplaced(report));
      const untrainable = Object.fromEntries(report.untrainable);
      print(JSON.stringify({ kinds: report.kinds, untrainable }));
    });
  privacy
    .command('retain')
    .description(
      'Delete live calls and feedback that are older than `privacy.retention` of RATCHET_GATEWAY_CONFIG says, or these options. For a daily job.',
    )
    .option('--live <age>', 'live calls', age)
    .option('--feedback <age>', 'feedback', age)
    .option('--dry-run', 'change nothing, say what would go')
    .option('--json', 'print one line of JSON')
    .action(
      async (options: { live?: number; feedback?: number; dryRun?: boolean; json?: boolean }) => {
        const { openStore } = await import('./open-store.js');
        const { readPrivacyConfig } = await import('./open-redaction.js');
        const { retain } = await import('../src/erasure/retain.js');
        const { retention } = await readPrivacyConfig(env());
        const msOf = (given: number | undefined, configured: string | undefined): number | null =>
          given ?? (configured === undefined ? null : durationMs(configured));
        const liveMs = msOf(options.live, retention.live);
        const feedbackMs = msOf(options.feedback, retention.feedback);
        if (liveMs === null && feedbackMs === null) {
          throw new InvalidInputError(
            'nothing says how long anything is kept: expected "privacy": {"retention": {"live": "90d", "feedback": "365d"}} in the file that RATCHET_GATEWAY_CONFIG names, or --live, or --feedback',
          );
        }
        const isDryRun = options.dryRun === true;
        const report = await retain(await openStore(env()), {
          ...{ liveMs, feedbackMs, isDryRun },
          nowMs: Date.now(),
        });
        print(options.json === true ? JSON.stringify(report) : renderRetained(report, isDryRun));
      },
    );
  return privacy;
}

export function renderReplaced({ kinds, untrainable }: ReplacedReport): string {
  const rows = kinds.map(({ agent, kind, values, places }) => [
    ...[agent, kind, String(values), String(places)],
  ]);
  const marked = [...untrainable].filter(([, count]) => count > 0);
  return [
    kinds.length === 0
      ? 'Nothing was replaced in what is stored of this time.'
      : textTable(['agent', 'kind', 'values', 'places'], rows),
    ...marked.map(
      ([agent, count]) =>
        `${agent}: ${count} decisions are not trained on, since their token ids were dropped.`,
    ),
  ].join('\n');
}

export function renderRetained(
  { segments, hours, feedback, quarantined }: RetainReport,
  isDryRun: boolean,
): string {
  return `${isDryRun ? 'Would delete' : 'Deleted'} ${segments} segments of ${hours} hours, ${feedback} records of feedback, ${quarantined} damaged pieces in quarantine.`;
}

function age(text: string): number {
  if (Duration.safeParse(text).success) return durationMs(text);
  throw new InvalidArgumentError('expected a number and ms, s, m, h or d, e.g. 90d');
}

function agentName(text: string): string {
  if (Name.safeParse(text).success) return text;
  throw new InvalidArgumentError('expected lower-case letters, digits and dashes');
}
