import { Command, InvalidArgumentError } from 'commander';
import { InvalidInputError, NotFoundError } from '../src/errors';
import { Duration, durationMs } from '../src/schemas/duration';
import { Name } from '../src/schemas/ids';
import type { ObjectStore } from '../src/storage/object-store';
import type { ConversationSummary } from '../src/trajectories/conversation-summary';
import type { ConversationQuery } from '../src/trajectories/read-conversations';
import type { Environment } from './env';
import { renderConversation, renderSummaries } from './render-conversation';

interface RangeOptions {
  readonly agent?: string;
  readonly from: Moment;
  readonly to: Moment;
  readonly asOf: Moment;
  readonly idle: number;
}
interface FilterOptions {
  readonly model?: string;
  readonly upstream?: string;
  readonly policy?: string;
  /** Of `--feedback` and `--no-feedback`; left out without either. */
  readonly feedback?: boolean;
}
/** In milliseconds since 1970, at the time when the command runs. */
type Moment = (nowMs: number) => number;

const print = (text: string): void => void process.stdout.write(`${text}\n`);

/** `ratchet sessions list | show | export | reindex`: what agents' live calls left in the store. */
export function sessionsCommands(env: () => Environment): Command {
  const open = async (): Promise<ObjectStore> => (await import('./open-store.js')).openStore(env());
  const sessions = new Command('sessions').description(
    'Live sessions as they stand in the store: conversations with their feedback.',
  );

  withFilter(withRange(sessions.command('list')))
    .description('Sessions in the order of their last answers; the newest at the end.')
    .option('--limit <n>', 'of the table: at most so many, the newest', positive, 50)
    .option('--json', 'print one JSON object per line, and all of them')
    .action(async (options: RangeOptions & FilterOptions & { limit: number; json?: boolean }) => {
      const store = await open();
      const { readConversations } = await import('../src/trajectories/read-conversations.js');
      const { summarize } = await import('../src/trajectories/conversation-summary.js');
      const query = await toQuery(store, options);
      let last: ConversationSummary[] = [];
      let count = 0;
      for await (const conversation of readConversations(store, query)) {
        count += 1;
        if (options.json === true) print(JSON.stringify(summarize(conversation)));
        else last.push(summarize(conversation));
        if (last.length >= 2 * options.limit) last = last.slice(-options.limit);
      }
      if (options.json === true) return;
      if (count === 0) return print(nothingFound(query));
      last = last.slice(-options.limit);
      print(renderSummaries(last));
      if (count > last.length)
        print(`\nThe newest ${last.length} of ${count}; --limit shows more.`);
    });

  withRange(sessions.command('show'))
    .argument('<session>', 'its id or name, a beginning of it, or the id of an answer')
    .description('One session as a tree: calls, decisions, feedback, cost.')
    .option('--full', 'texts as long as they are')
    .option('--json', 'print one JSON object per line, one for each conversation')
    .action(async (name: string, options: RangeOptions & { full?: boolean; json?: boolean }) => {
      const store = await open();
      const { findConversations } = await import('../src/trajectories/find-conversations.js');
      const named = /^live\/([^/]+)\//.exec(name)?.[1];
      const agent = options.agent ?? named;
      const query = await toQuery(store, agent === undefined ? options : { ...options, agent });
      const found = await findConversations(store, query, name);
      if (options.json === true) return found.forEach((one) => print(JSON.stringify(one)));
      const isFull = options.full === true;
      print(found.map((one) => renderConversation(one, { isFull })).join('\n\n'));
    });

  withFilter(withRange(sessions.command('export')))
    .description(
      'Sessions as trajectories with their messages and feedback, one JSON object per line.',
    )
    .action(async (options: RangeOptions & FilterOptions) => {
      const store = await open();
      const { readConversations } = await import('../src/trajectories/read-conversations.js');
      const { exportedLines } = await import('../src/trajectories/export-conversation.js');
      const toolsets = new Set<string>();
      for await (const found of readConversations(store, await toQuery(store, options))) {
        for (const line of exportedLines(found, toolsets))
          await written(`${JSON.stringify(line)}\n`);
      }
    });

  sessions
    .command('reindex')
    .description(
      'List live segments in the manifests of their hours that a lost gateway could not.',
    )
    .option('--agent <name>', 'only of this agent', agentName)
    .action(async ({ agent }: { agent?: string }) => {
      const store = await open();
      const { listLiveAgents, reindexAgent } = await import('../src/trajectories/reindex.js');
      for (const one of agent === undefined ? await listLiveAgents(store) : [agent]) {
        const { hours, added } = await reindexAgent(store, one);
        print(`${one}: ${hours} hours, ${added} segments were not listed and are now`);
      }
    });
  return sessions;
}

function withRange(command: Command): Command {
  return command
    .option('--agent <name>', 'whose sessions; not needed where there is one agent', agentName)
    .option('--from <when>', 'a time (2026-11-23T10:00Z) or an age (7d)', moment, moment('7d'))
    .option('--to <when>', 'the same; now when left out', moment, moment('0s'))
    .option('--as-of <when>', 'without feedback that came later', moment, moment('0s'))
    .option('--idle <age>', 'after so long without a call a session is closed', age, age('30m'));
}

function withFilter(command: Command): Command {
  return command
    .option('--model <name>', 'with a call that this model of an upstream answered')
    .option('--upstream <name>', 'with a call that this upstream answered')
    .option('--policy <name>', 'with a call that this policy decided')
    .option('--feedback', 'with feedback')
    .option('--no-feedback', 'without feedback');
}

async function toQuery(
  store: ObjectStore,
  { agent, from, to, asOf, idle, ...filter }: RangeOptions & FilterOptions,
): Promise<ConversationQuery> {
  const nowMs = Date.now();
  const { model, upstream, policy, feedback } = filter;
  return {
    agent: agent ?? (await onlyAgent(store)),
    ...{ fromMs: from(nowMs), toMs: to(nowMs), asOfMs: asOf(nowMs), idleMs: idle },
    filter: {
      ...(model === undefined ? {} : { model }),
      ...(upstream === undefined ? {} : { upstream }),
      ...(policy === undefined ? {} : { policy }),
      ...(feedback === undefined ? {} : { hasFeedback: feedback }),
    },
  };
}

async function onlyAgent(store: ObjectStore): Promise<string> {
  const { listLiveAgents } = await import('../src/trajectories/reindex.js');
  const [only, ...others] = await listLiveAgents(store);
  if (only === undefined) {
    throw new NotFoundError(
      'there are no live calls in this store yet: gateways bring them here within RATCHET_SPOOL_SECONDS. Is it the store that RATCHET_STORE or RATCHET_HOME was to name?',
    );
  }
  if (others.length === 0) return only;
  throw new InvalidInputError(
    `--agent is needed where there are several: expected one of ${[only, ...others].join(', ')}`,
  );
}

function nothingFound({ agent, fromMs, toMs }: ConversationQuery): string {
  const range = `${new Date(fromMs).toISOString()} to ${new Date(toMs).toISOString()}`;
  return `No session of ${agent} from ${range}. --from takes a longer range, e.g. --from 30d.`;
}

/** Waits where whoever reads is slow. */
async function written(text: string): Promise<void> {
  if (process.stdout.write(text)) return;
  await new Promise((resolve) => process.stdout.once('drain', resolve));
}

function moment(text: string): Moment {
  if (Duration.safeParse(text).success) return (nowMs) => nowMs - durationMs(text);
  const ms = /^\d{4}-\d\d-\d\d/.test(text) ? Date.parse(text) : NaN;
  if (!Number.isNaN(ms)) return () => ms;
  throw new InvalidArgumentError('expected a time (2026-11-23T10:00Z) or an age (90m, 24h, 7d)');
}

function age(text: string): number {
  if (Duration.safeParse(text).success) return durationMs(text);
  throw new InvalidArgumentError('expected a number and ms, s, m, h or d, e.g. 30m');
}

function agentName(text: string): string {
  if (Name.safeParse(text).success) return text;
  throw new InvalidArgumentError('expected lower-case letters, digits and dashes');
}

function positive(text: string): number {
  const value = Number(text);
  if (Number.isInteger(value) && value >= 1) return value;
  throw new InvalidArgumentError('expected a whole number, at least 1');
}
