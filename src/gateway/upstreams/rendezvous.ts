import { createHash } from 'node:crypto';

/**
 * Orders candidates for a key by weighted rendezvous hashing: each has a score that depends on the key and on itself alone, so that who
 * comes first changes only where the first one goes, and calls of one key meet the same prefix cache. Over many keys each comes first as
 * often as its weight says. Every gateway computes the same, without asking another.
 *
 * score = −weight / ln(u), u uniform in (0, 1).   Schindelhauer and Schomaker 2005, "Weighted distributed hash tables".
 */
export function rendezvous<T>(
  key: string,
  candidates: readonly T[],
  describe: (candidate: T) => { readonly id: string; readonly weight: number },
): T[] {
  if (candidates.length < 2) return [...candidates];
  return candidates
    .map((candidate) => {
      const { id, weight } = describe(candidate);
      return { candidate, id, score: -weight / Math.log(uniform(`${key}\n${id}`)) };
    })
    .sort((a, b) => b.score - a.score || (a.id < b.id ? -1 : 1))
    .map(({ candidate }) => candidate);
}

/** Never 0 and never 1. */
function uniform(text: string): number {
  const hash = createHash('sha256').update(text).digest();
  return (hash.readUIntBE(0, 6) + 0.5) / 2 ** 48;
}
