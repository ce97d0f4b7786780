import { temporal } from '@temporalio/proto';
import { SEARCH_ATTRIBUTES, type SearchAttributeType } from './servers/search-attributes';
import type { Temporal } from './temporal-connection';

const { IndexedValueType } = temporal.api.enums.v1;

const WIRE_TYPES: Readonly<Record<SearchAttributeType, temporal.api.enums.v1.IndexedValueType>> = {
  Keyword: IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD,
  Int: IndexedValueType.INDEXED_VALUE_TYPE_INT,
  Double: IndexedValueType.INDEXED_VALUE_TYPE_DOUBLE,
};

/** The line for an operator whose credentials may register what ours may not. */
function registrationLine(names: readonly string[]): string {
  const flags = names.map((name) => `--name ${name} --type ${SEARCH_ATTRIBUTES[name] ?? ''}`);
  return `temporal operator search-attribute create ${flags.join(' ')}`;
}

async function missing({ connection, namespace }: Temporal): Promise<string[]> {
  const { customAttributes } = await connection.operatorService.listSearchAttributes({ namespace });
  return Object.keys(SEARCH_ATTRIBUTES).filter((name) => !(name in customAttributes));
}

/**
 * Registers the search attributes that the namespace lacks.
 *
 * @returns whether all are there now. Without them runs go on, only without showing in filtered lists: upserting an
 *   unknown attribute would block a workflow, so workflows ask this first.
 */
export async function ensureSearchAttributes(
  server: Temporal,
  warn: (line: string) => void,
): Promise<boolean> {
  try {
    const lacking = await missing(server);
    if (lacking.length === 0) return true;
    const searchAttributes = Object.fromEntries(
      lacking.map((name) => [name, WIRE_TYPES[SEARCH_ATTRIBUTES[name] ?? 'Keyword']]),
    );
    await server.connection.operatorService.addSearchAttributes({
      namespace: server.namespace,
      searchAttributes,
    });
    return (await missing(server)).length === 0;
  } catch (error) {
    // Not allowed, or no such service (Temporal Cloud): said once, and every run works without.
    warn(
      `search attributes are not registered (${String(error)}); register them with: ${registrationLine(Object.keys(SEARCH_ATTRIBUTES))}`,
    );
    return false;
  }
}
