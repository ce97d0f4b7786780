import type { StitchedCall } from './stitch';

/**
 * The answers of a conversation that nobody went on from because the client asked the same again: it had not got them, or did not like them.
 * Of several answers to one request those that were gone on from count; if none was, the last does.
 *
 * @returns the ids of the others.
 */
export function markUnconsumed(
  calls: readonly Pick<StitchedCall, 'facts' | 'link'>[],
  retryMs: number,
): ReadonlySet<string> {
  const parents = new Set(calls.map(({ link }) => ('parent' in link ? link.parent : null)));
  const tries = new Map<string, { id: string; atMs: number }[][]>();
  for (const { facts } of calls) {
    const { id, atMs, question, setting, previousId } = facts;
    const request = [question, setting, previousId].join(' ');
    const known = tries.get(request) ?? [];
    tries.set(request, known);
    const last = known.at(-1);
    const before = last?.at(-1);
    if (last !== undefined && before !== undefined && atMs - before.atMs <= retryMs)
      last.push({ id, atMs });
    else known.push([{ id, atMs }]);
  }
  const unconsumed = new Set<string>();
  for (const group of [...tries.values()].flat()) {
    const consumed = group.filter(({ id }) => parents.has(id));
    const counting = consumed.length > 0 ? consumed : group.slice(-1);
    for (const one of group) if (!counting.includes(one)) unconsumed.add(one.id);
  }
  return unconsumed;
}
