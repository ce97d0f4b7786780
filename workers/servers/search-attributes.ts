import { z } from 'zod';
import { InvalidInputError, TransientError } from '../../src/errors';
import type { OperatorCommand } from './operator-command';

export type SearchAttributeType = 'Keyword' | 'Int' | 'Double';

/** What Ratchet's workflows publish about themselves. A workflow that sets one which is not registered gets stuck. */
export const SEARCH_ATTRIBUTES: Readonly<Record<string, SearchAttributeType>> = {
  RatchetPolicy: 'Keyword',
  RatchetPhase: 'Keyword',
  RatchetCandidate: 'Keyword',
  RatchetIteration: 'Int',
  RatchetReward: 'Double',
};

const listSchema = z.object({
  customAttributes: z.record(z.string(), z.string()).nullish(),
});

/**
 * Registers on a namespace what is missing: `start-dev --search-attribute` does so only when the namespace is created.
 * Idempotent, also between processes (the server takes a repeated registration as done).
 *
 * @returns the names that were registered now.
 * @throws {InvalidInputError} if a name is taken by another type: that cannot be changed in place.
 * @throws {TransientError} if the server does not answer.
 */
export async function ensureSearchAttributes(
  operator: OperatorCommand,
  namespace = 'default',
): Promise<readonly string[]> {
  const inNamespace = ['--namespace', namespace];
  const listed = await operator(['search-attribute', 'list', '--output', 'json', ...inNamespace]);
  if (listed.code !== 0) throw failed('listed', listed.stderr);
  const existing = listSchema.parse(JSON.parse(listed.stdout)).customAttributes ?? {};

  const missing: [string, SearchAttributeType][] = [];
  for (const [name, type] of Object.entries(SEARCH_ATTRIBUTES)) {
    const got = existing[name];
    if (got === undefined) missing.push([name, type]);
    else if (got !== `INDEXED_VALUE_TYPE_${type.toUpperCase()}`) {
      throw new InvalidInputError(
        `the search attribute ${name} is registered with another type: expected ${type}, got ${got}; ` +
          `remove it with \`temporal operator search-attribute remove --name ${name}\` and start again`,
        { context: { namespace } },
      );
    }
  }
  if (missing.length === 0) return [];
  const named = missing.flatMap(([name, type]) => ['--name', name, '--type', type]);
  const created = await operator(['search-attribute', 'create', ...named, ...inNamespace]);
  if (created.code !== 0) throw failed('registered', created.stderr);
  return missing.map(([name]) => name);
}

function failed(what: string, stderr: string): TransientError {
  return new TransientError(`search attributes could not be ${what}: ${stderr.trim()}`);
}
