import { Command, InvalidArgumentError } from 'commander';
import type { EraseReport } from '../src/erasure/erase';
import type { Target } from '../src/erasure/find-traces';
import { InvalidInputError } from '../src/errors';
import { liveSessionId, storedSessionId } from '../src/gateway/keys/session-id';
import type { Redaction } from '../src/gateway/recording/redaction';
import { Name } from '../src/schemas/ids';
import type { Environment } from './env';
import type { SpoolErased } from './erase-spool';

const PSEUDONYM = /^\[user:[a-p]{16}\]$/;

/** `ratchet erase`: what was recorded of a session, or of a user, is taken away, and does not come back. */
export function eraseCommand(env: () => Environment): Command {
  return new Command('erase')
    .description(
      'Erase what was recorded of a session, or of all sessions of a user: live calls, feedback, this machine’s spool. The same again is harmless.',
    )
    .option('--session <id>', 'its id (live/desk/…), or with --agent the client’s own name for it')
    .option('--user <name>', 'as requests name them, or the pseudonym that is recorded ([user:…])')
    .option('--agent <name>', 'whose session it is', agentName)
    .option('--json', 'print one line of JSON')
    .action(
      async (options: { session?: string; user?: string; agent?: string; json?: boolean }) => {
        const { openRedaction } = await import('./open-redaction.js');
        const { openStore } = await import('./open-store.js');
        const { erase } = await import('../src/erasure/erase.js');
        const { eraseSpool } = await import('./erase-spool.js');
        const { listLiveAgents } = await import('../src/trajectories/reindex.js');
        const environment = env();
        const redaction = await openRedaction(environment);
        const store = await openStore(environment);
        const agents = new Set(await listLiveAgents(store));
        if (options.agent !== undefined) agents.add(options.agent);
        const target = toTarget(options, [...agents], redaction);
        let spool: SpoolErased | undefined;
        const report = await erase(store, target, {
          nowMs: Date.now(),
          onWritten: async () => {
            const names = [...target.sessions, ...target.users];
            spool = await eraseSpool(environment, store, names);
          },
        });
        const said = { ...report, unreadable: Object.fromEntries(report.unreadable), spool };
        const text = options.json === true ? JSON.stringify(said) : renderErased(report, spool);
        process.stdout.write(`${text}\n`);
        if (report.unreadable.size > 0 || (spool?.waiting ?? 0) > 0) process.exitCode = 1;
      },
    );
}

/** @throws {InvalidInputError} unless it says who, and one of the two. */
export function toTarget(
  {
    session,
    user,
    agent,
  }: { readonly session?: string; readonly user?: string; readonly agent?: string },
  agents: readonly string[],
  redaction: Pick<Redaction, 'sessionName' | 'user'>,
): Target {
  if ((session === undefined) === (user === undefined)) {
    throw new InvalidInputError('expected --session or --user, and one of them');
  }
  if (session !== undefined) {
    const isId = session.includes('/') && agent === undefined;
    if (!isId && agent === undefined && agents.length !== 1) {
      throw new InvalidInputError(
        `whose session is it? expected its whole id (live/<agent>/…), or --agent: ${agents.join(', ')}`,
      );
    }
    const isOfAgent =
      agent !== undefined && new RegExp(`^(?:live|session)/${agent}/`).test(session);
    const whose = isId || isOfAgent ? null : (agent ?? agents[0] ?? null);
    return {
      sessions: new Set([storedSessionId(redaction, whose, session)]),
      users: new Set(),
    };
  }
  const name = user ?? '';
  if (PSEUDONYM.test(name)) return { sessions: new Set(), users: new Set([name]) };
  const pseudonym = redaction.user(name);
  return {
    // Where a request names no session, its user is what the session is named after.
    sessions: new Set(agents.map((one) => liveSessionId(one, redaction.sessionName(one, name)))),
    users: new Set(pseudonym === null ? [] : [pseudonym]),
  };
}

export function renderErased(
  { calls, feedback, quarantined, unattributed, teaching, unreadable }: EraseReport,
  spool: SpoolErased | undefined,
): string {
  const { trained, descendants, runs } = teaching;
  const pieces = quarantined + (spool?.quarantined ?? 0);
  const unknown = unattributed + (spool?.unattributed ?? 0);
  return [
    `Erased: ${calls} live calls, ${feedback} records of feedback, ${pieces} damaged pieces in quarantine.`,
    ...(calls + feedback === 0
      ? ['Nothing more was found under this name; `ratchet sessions list` shows the names.']
      : []),
    'What comes late, from the spool of a gateway or as feedback, is not kept.',
    ...(spool === undefined || spool.waiting === 0
      ? []
      : [
          `${spool.waiting} files of a running gateway’s spool were not drained in time; what is erased is left out when they are. Run this again to be sure.`,
        ]),
    ...(unknown === 0
      ? []
      : [`${unknown} damaged pieces in quarantine name nobody: look into them, or delete them.`]),
    ...(trained.length === 0 ? [] : ['', 'Trained on it, and not able to forget:']),
    ...trained.map(({ checkpoint, run }) => `  ${checkpoint}  (run ${run})`),
    ...(descendants.length === 0 ? [] : ['and those that come from them:']),
    ...descendants.map((digest) => `  ${digest}`),
    ...(runs.length === 0
      ? []
      : [
          '',
          `Its trajectories in these runs were left: ${runs.join(', ')}. \`ratchet store gc --runs-older-than\` takes a run’s trajectories.`,
        ]),
    ...(teaching.unreadable.length === 0
      ? []
      : [
          `${teaching.unreadable.length} batches of runs cannot be read (collected, or damaged): who was in them is not known.`,
        ]),
    ...Array.from(unreadable, ([key, why]) => `not looked through: ${key}: ${why}`),
  ].join('\n');
}

function agentName(text: string): string {
  if (Name.safeParse(text).success) return text;
  throw new InvalidArgumentError('expected lower-case letters, digits and dashes');
}
