import { Command, InvalidArgumentError } from 'commander';
import { InvalidInputError } from '../src/errors';
import {
  createApiKey,
  keyState,
  listApiKeys,
  revokeApiKey,
  Role,
  type ApiKeyRecord,
} from '../src/gateway/keys/api-keys';
import { Duration, durationMs } from '../src/schemas/duration';
import type { Environment } from './env';
import { textTable } from './text-table';

const print = (line: string): void => void process.stdout.write(`${line}\n`);

/** `ratchet keys create | list | revoke`: who may use the gateways of this folder. */
export function keysCommands(env: () => Environment): Command {
  const keys = new Command('keys').description('API keys of the gateway: who may do what.');
  keys
    .command('create')
    .description('Create a key. It is shown this once: only a hash of it is kept.')
    .requiredOption('--role <role>', Role.options.join(', '), role)
    .option(
      '--agent <name>',
      'whose sessions it may use, several times for several; role agent needs one, runner and scorer may have any',
      collect,
    )
    .option('--expires <age>', 'when it stops working, e.g. 90d; never when left out', age)
    .option('--name <text>', 'what people call it', '')
    .option('--json', 'print one line of JSON: the key, its id, when it expires')
    .action(async (options: CreateOptions) => {
      const { openKeyFile } = await import('./gateway.js');
      const { key, record } = await createApiKey(openKeyFile(env()), {
        role: options.role,
        agents: options.agent ?? [],
        label: options.name,
        expiresAtMs: options.expires === undefined ? null : Date.now() + options.expires,
      });
      const { id, expiresAt } = record;
      print(options.json === true ? JSON.stringify({ key, id, expiresAt }) : key);
    });
  keys
    .command('list')
    .description('Keys by id, with when they were last used; never the keys themselves.')
    .option('--json', 'print JSON')
    .action(async (options: { json?: boolean }) => {
      const { openKeyFile, openKeyUse } = await import('./gateway.js');
      const [records, used] = await Promise.all([
        listApiKeys(openKeyFile(env())),
        openKeyUse(env()).read(),
      ]);
      const listed = records.map((record) => toListed(record, used.get(record.id), Date.now()));
      print(options.json === true ? JSON.stringify(listed, null, 2) : renderKeys(listed));
    });
  keys
    .command('revoke')
    .argument('<id>', 'the 12 characters behind rk-')
    .description('Revoke a key. Gateways that run notice within two seconds.')
    .action(async (id: string) => {
      if (!/^[a-z0-9]{12}$/.test(id)) {
        // Not repeated: people paste the whole key, and terminals are logged.
        throw new InvalidInputError(
          'not the id of a key: expected the 12 characters between rk- and the next dash',
        );
      }
      const { openKeyFile } = await import('./gateway.js');
      await revokeApiKey(openKeyFile(env()), id);
      print(`revoked ${id}`);
    });
  return keys;
}

interface CreateOptions {
  readonly role: Role;
  readonly agent?: string[];
  /** Milliseconds. */
  readonly expires?: number;
  readonly name: string;
  readonly json?: boolean;
}

/** A key as it is shown: without its hash. */
export interface ListedKey extends Omit<ApiKeyRecord, 'hash'> {
  readonly state: ReturnType<typeof keyState>;
  /** To the minute; null: never, as far as it is known. */
  readonly lastUsedAt: string | null;
}

export function toListed(
  { hash: _, ...record }: ApiKeyRecord,
  usedAtMs: number | undefined,
  nowMs: number,
): ListedKey {
  return {
    ...record,
    state: keyState(record, nowMs),
    lastUsedAt: usedAtMs === undefined ? null : new Date(usedAtMs).toISOString(),
  };
}

export function renderKeys(keys: readonly ListedKey[]): string {
  if (keys.length === 0)
    return 'There are no keys: nobody gets in. `ratchet keys create` makes one.';
  return textTable(
    ['id', 'role', 'agents', 'state', 'created', 'expires', 'last used', 'name'],
    keys.map(({ id, role: name, agents, state, createdAt, expiresAt, lastUsedAt, label }) => [
      ...[id, name, agents.length === 0 ? '–' : agents.join(', '), state],
      ...[createdAt, expiresAt, lastUsedAt].map(shortTime),
      label,
    ]),
  );
}

const shortTime = (at: string | null): string =>
  at === null ? 'never' : at.slice(0, 16).replace('T', ' ');

function role(text: string): Role {
  const parsed = Role.safeParse(text);
  if (parsed.success) return parsed.data;
  throw new InvalidArgumentError(`expected one of ${Role.options.join(', ')}`);
}

function collect(text: string, before: string[] = []): string[] {
  return [...before, ...text.split(',').map((name) => name.trim())];
}

function age(text: string): number {
  const parsed = Duration.safeParse(text);
  if (parsed.success && durationMs(parsed.data) > 0) return durationMs(parsed.data);
  throw new InvalidArgumentError('expected a number and s, m, h or d, e.g. 90d');
}
