import type { Decision } from '../schemas/decision';
import { LiveLine, type LiveIntent } from '../schemas/live-line';
import { sha256Hex } from '../storage/digest';
import { parseJsonLines } from '../storage/json-objects';
import { liveSegmentKey } from '../storage/keys';
import { getIfPresent, refOf } from '../storage/object-ref';
import type { ObjectStore } from '../storage/object-store';
import { listSegments } from '../trajectories/list-segments';
import { hourOfSegment } from '../trajectories/live-hours';
import { describeSegment } from '../trajectories/live-segment';
import type { Erasures } from './erasures';

/** The name of a segment that replaces another one ends in this. */
const REWRITTEN = /-[0-9a-f]{16}$/;

/** @returns whether a line belongs to a session, or to a call of a user, that is erased. */
export function isErased(line: LiveLine, erasures: Erasures): boolean {
  if (line.type === 'message' || line.type === 'toolset') return false;
  if (line.type === 'trajectory') {
    const { id, decisions } = line.trajectory;
    return erasures.hasTrajectory(id) || decisions.some(({ user }) => erasures.hasUser(user));
  }
  const call = line.type === 'use' ? line.use : line.call;
  return erasures.hasTrajectory(call.session) || erasures.hasUser(call.user);
}

/**
 * Takes out of a live segment what is erased: the sessions, and the messages and tools that no other session of the segment needs. Every other
 * line stays byte by byte.
 *
 * After a crash: 1. `put` of what is left, under another name: both are there, readers count ids once. 2. The hour's manifest is swapped:
 * **it is gone for readers.** 3. `delete` of the old one. A repeat finds what is left to do.
 *
 * @returns how many calls were erased; 0 if there was nothing to do.
 * @throws {IntegrityError} if the segment cannot be read.
 */
export async function eraseSegment(
  store: ObjectStore,
  key: string,
  erasures: Erasures,
): Promise<number> {
  const place = hourOfSegment(key);
  const stored = place === null ? null : await getIfPresent(store, key);
  if (place === null || stored === null) return 0;
  const lines = parseJsonLines(stored.bytes, LiveLine, key);
  const gone = lines.filter((line) => isErased(line, erasures));
  if (gone.length === 0) return 0;

  const needed = new Set<string>();
  const decisions: Decision[] = [];
  const unresolved: LiveIntent[] = [];
  let isEmpty = true;
  for (const line of lines) {
    if (line.type === 'message' || line.type === 'toolset' || isErased(line, erasures)) continue;
    isEmpty = false;
    if (line.type === 'unresolved') unresolved.push(line.call);
    if (line.type !== 'trajectory') continue;
    for (const decision of line.trajectory.decisions) {
      decisions.push(decision);
      const { context, output, alternatives = [], toolset } = decision;
      for (const id of [...context, output, ...alternatives]) needed.add(id);
      if (toolset !== null) needed.add(toolset);
    }
  }
  const texts = Buffer.from(stored.bytes).toString().split('\n');
  const kept = lines.flatMap((line, i) => {
    const isPart = line.type === 'message' || line.type === 'toolset';
    const isKept = isPart ? needed.has(line.id) : !isErased(line, erasures);
    return isKept ? [`${texts[i] ?? ''}\n`] : [];
  });

  const { agent, day, hour, name } = place;
  if (isEmpty) {
    await listSegments(store, place, { remove: [name] });
  } else {
    const bytes = new TextEncoder().encode(kept.join(''));
    const base = name.replace(/\.jsonl$/, '').replace(REWRITTEN, '');
    const other = `${base}-${sha256Hex(bytes).slice(0, 16)}`;
    const ref = refOf(liveSegmentKey(agent, day, hour, other), bytes);
    await store.put(ref.key, bytes, { ifAbsent: true, sha256: ref.sha256 });
    const entry = describeSegment(`${other}.jsonl`, ref, { decisions, unresolved });
    await listSegments(store, place, { add: [entry], remove: [name] });
  }
  await store.delete(key);
  return gone.reduce(
    (sum, line) => sum + (line.type === 'trajectory' ? line.trajectory.decisions.length : 1),
    0,
  );
}
