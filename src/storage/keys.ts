import { InvalidInputError } from '../errors';
import { Digest, Name } from '../schemas/ids';
import type { PausedKind } from '../schemas/pause';
import { hexOf, sha256Hex } from './digest';

// Every key that Ratchet writes is built here; FORMAT.md says who writes it and what a crash leaves. The version of the whole layout
// is the first segment: a store may hold several.
const VERSION = 'v1';

const SEGMENT = /^(?!\.)[A-Za-z0-9._=-]{1,120}(?<!\.)$/;
const HEX_256 = /^[0-9a-f]{64}$/;
const DAY = /^\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])$/;
const MAX_KEY_LENGTH = 900;

/**
 * A key is segments of letters, digits and `. _ = -`, joined by `/`, at most 900 characters; no segment is longer than 120 or starts or
 * ends with a dot, so that `..` and hidden files cannot be meant. Letters keep their case. No key may be another key's folder.
 *
 * @throws {InvalidInputError} otherwise.
 */
export function assertKey(key: string): void {
  if (!isKey(key)) {
    throw new InvalidInputError(
      `a key is not valid: expected segments of letters, digits and "._=-", neither starting nor ending with a dot, joined by "/", at most ${MAX_KEY_LENGTH} characters, got ${JSON.stringify(key.slice(0, 120))}`,
    );
  }
}

/** Whether an object can have this key; what lies in a store under another name was put there by something else. */
export function isKey(key: string): boolean {
  return key.length <= MAX_KEY_LENGTH && key.split('/').every((segment) => SEGMENT.test(segment));
}

/**
 * Any text as one segment of a key: what a segment cannot hold becomes `=` and the two hexadecimal digits of each UTF-8 byte. Different
 * texts give different segments; what gets too long ends in a hash instead. For names that people choose freely, such as workflow ids.
 *
 * @throws {InvalidInputError} if the text is empty.
 */
export function toKeySegment(text: string): string {
  const encoded = text.replace(/[^A-Za-z0-9._-]/gu, toHex).replace(/^\.|\.$/g, toHex);
  // `=sha` is no escape, so a hashed segment is never the encoding of another text.
  return segment(
    'text',
    encoded.length <= 120 ? encoded : `${encoded.slice(0, 80)}=sha${sha256Hex(text).slice(0, 32)}`,
  );
}

function toHex(character: string): string {
  return Array.from(Buffer.from(character), (b) => `=${b.toString(16).padStart(2, '0')}`).join('');
}

/** `v1/blobs/<sha256>` */
export function blobKey(sha256: string): string {
  return `${VERSION}/blobs/${matching(HEX_256, 'sha256', sha256)}`;
}

/** `v1/checkpoints/<digest>/`, with the slash: a file's key is this and its name. */
export function checkpointFolder(digest: Digest): string {
  return `${VERSION}/checkpoints/${digestHex(digest)}/`;
}

/** `v1/datasets/<name>/<digest>/`, with the slash: a file's key is this and its name. */
export function datasetFolder(dataset: string, digest: Digest): string {
  return `${VERSION}/datasets/${name('dataset', dataset)}/${digestHex(digest)}/`;
}

export function datasetsPrefix(): string {
  return `${VERSION}/datasets/`;
}

export function evaluationsPrefix(): string {
  return `${VERSION}/evaluations/`;
}

/** `v1/evaluations/<digest>.json` */
export function evaluationKey(digest: Digest): string {
  return `${VERSION}/evaluations/${digestHex(digest)}.json`;
}

/** `v1/evaluations/<digest>/evidence-<sha256>.json`: the rollouts and rewards that an evaluation was computed from. */
export function evidenceKey(digest: Digest, sha256: string): string {
  return `${evidencePrefix(digest)}evidence-${matching(HEX_256, 'sha256', sha256)}.json`;
}

export function evidencePrefix(digest: Digest): string {
  return `${VERSION}/evaluations/${digestHex(digest)}/`;
}

/** `v1/policies/<policy>/routing.json`: the pointer, which is swapped. */
export function routingKey(policy: string): string {
  return `${VERSION}/policies/${name('policy', policy)}/routing.json`;
}

/** Every policy's keys, for listing the policies. */
export function policiesPrefix(): string {
  return `${VERSION}/policies/`;
}

/** `v1/policies/<policy>/promotions/<generation, 10 digits>-<promotionId>.json`: key order is the order of generations. */
export function promotionKey(policy: string, generation: number, promotionId: string): string {
  return `${promotionsPrefix(policy)}${count('generation', generation, 10)}-${segment('promotionId', promotionId)}.json`;
}

export function promotionsPrefix(policy: string): string {
  return `${VERSION}/policies/${name('policy', policy)}/promotions/`;
}

/** `v1/pauses/<kind>/<name>.json`: what a person holds back. There while it is paused. */
export function pauseKey(kind: PausedKind, paused: string): string {
  return `${pausesPrefix()}${kind}/${toKeySegment(paused)}.json`;
}

export function pausesPrefix(): string {
  return `${VERSION}/pauses/`;
}

/** `v1/rewards/<day>/<segment>.jsonl`. `segmentName` must be unique to the write. */
export function rewardsKey(day: string, segmentName: string): string {
  return `${rewardsPrefix(day)}${segment('segmentName', segmentName)}.jsonl`;
}

export function rewardsPrefix(day?: string): string {
  return day === undefined
    ? `${VERSION}/rewards/`
    : `${VERSION}/rewards/${matching(DAY, 'day', day)}/`;
}

export type RunSegmentKind = 'trajectories' | 'rewards';

/**
 * `v1/runs/<run>/<iteration, 6 digits>/<kind>/<attempt>.jsonl`. `run` is any text. `attempt` must be unique to the activity attempt that
 * writes: the segment counts only once that activity's result names it.
 */
export function runSegmentKey(
  run: string,
  iteration: number,
  kind: RunSegmentKind,
  attempt: string,
): string {
  return `${runPrefix(run, iteration)}${kind}/${segment('attempt', attempt)}.jsonl`;
}

/** `v1/runs/<run>/<iteration, 6 digits>/state/<attempt>.bin`: where an activity stood, for its next attempt; deleted once it is done. */
export function runStateKey(run: string, iteration: number, attempt: string): string {
  return `${runPrefix(run, iteration)}state/${segment('attempt', attempt)}.bin`;
}

/** `v1/runs/<run>/run.json`: what was asked for. */
export function runRecordKey(run: string): string {
  return `${runPrefix(run)}run.json`;
}

/** `v1/runs/<run>/dropped.json`: what a garbage collection took away from a run that ended long ago. */
export function runDroppedKey(run: string): string {
  return `${runPrefix(run)}dropped.json`;
}

export type IterationRecordKind = 'created' | 'scored' | 'trained';

/** `v1/runs/<run>/<iteration, 6 digits>/records/<kind>-<sha256>.json`: what an activity committed, by content. */
export function iterationRecordKey(
  run: string,
  iteration: number,
  kind: IterationRecordKind,
  sha256: string,
): string {
  return `${runPrefix(run, iteration)}records/${kind}-${matching(HEX_256, 'sha256', sha256)}.json`;
}

export function runsPrefix(): string {
  return `${VERSION}/runs/`;
}

export function runPrefix(run: string, iteration?: number): string {
  const prefix = `${VERSION}/runs/${toKeySegment(run)}/`;
  return iteration === undefined ? prefix : `${prefix}${count('iteration', iteration, 6)}/`;
}

/** `v1/live/<agent>/<day>/<hour, 2 digits>/<segment>.jsonl`. `segmentName` must be unique to the write. */
export function liveSegmentKey(
  agent: string,
  day: string,
  hour: number,
  segmentName: string,
): string {
  return `${livePrefix(agent, day)}${hourOf(hour)}/${segment('segmentName', segmentName)}.jsonl`;
}

export function livePrefix(agent: string, day?: string): string {
  const prefix = `${VERSION}/live/${name('agent', agent)}/`;
  return day === undefined ? prefix : `${prefix}${matching(DAY, 'day', day)}/`;
}

/** `v1/live/<agent>/<day>/<hour>/`, with the slash: the segments of one hour (UTC). */
export function liveHourFolder(agent: string, day: string, hour: number): string {
  return `${livePrefix(agent, day)}${hourOf(hour)}/`;
}

/** Every agent's live segments. */
export function livesPrefix(): string {
  return `${VERSION}/live/`;
}

/** `v1/live-hours/<agent>/<day>/<hour, 2 digits>.json`: which live segments there are of that hour. Derived from them. */
export function liveHourKey(agent: string, day: string, hour: number): string {
  return `${liveHoursPrefix(agent)}${matching(DAY, 'day', day)}/${hourOf(hour)}.json`;
}

export function liveHoursPrefix(agent: string): string {
  return `${VERSION}/live-hours/${name('agent', agent)}/`;
}

/** `v1/erasures/<sha256>.json`: what was erased and must not come back. */
export function erasureKey(sha256: string): string {
  return `${erasuresPrefix()}${matching(HEX_256, 'sha256', sha256)}.json`;
}

export function erasuresPrefix(): string {
  return `${VERSION}/erasures/`;
}

/** `v1/claims/<name>.json`: content that a writer relies on and has not named anywhere yet. `claim` must be unique to the write. */
export function claimKey(claim: string): string {
  return `${claimsPrefix()}${segment('claim', claim)}.json`;
}

export function claimsPrefix(): string {
  return `${VERSION}/claims/`;
}

/** `v1/gc/state.json`: which garbage collection runs, and whether it is removing. */
export function gcStateKey(): string {
  return `${VERSION}/gc/state.json`;
}

/** `v1/gc/marks/<name>.jsonl`: what was garbage, and since when. */
export function gcMarkKey(mark: string): string {
  return `${gcMarksPrefix()}${segment('mark', mark)}.jsonl`;
}

export function gcMarksPrefix(): string {
  return `${VERSION}/gc/marks/`;
}

/**
 * `v1/quarantine/<key without v1/>/<sha256 of the damaged bytes>.bin`, and `.json` for the note: one key may be damaged more than once.
 */
export function quarantineKey(key: string, sha256: string, part: 'bytes' | 'note'): string {
  assertKey(key);
  const place = key.startsWith(`${VERSION}/`) ? key.slice(VERSION.length + 1) : key;
  return `${quarantinePrefix()}${place}/${matching(HEX_256, 'sha256', sha256)}.${part === 'bytes' ? 'bin' : 'json'}`;
}

export function quarantinePrefix(): string {
  return `${VERSION}/quarantine/`;
}

const ROUTING = /^v1\/policies\/[^/]+\/routing\.json$/;

export function isRoutingKey(key: string): boolean {
  return ROUTING.test(key);
}

/** `v1/probes/<id>`: written and removed when a process begins, to see whether the store can do what is needed of it. */
export function probeKey(id: string): string {
  return `${VERSION}/probes/${segment('id', id)}`;
}

function digestHex(digest: Digest): string {
  const parsed = Digest.safeParse(digest);
  if (!parsed.success) throw refuse('digest', 'sha256: and 64 hexadecimal digits', digest);
  return hexOf(parsed.data);
}

function name(what: string, value: string): string {
  if (!Name.safeParse(value).success) {
    throw refuse(what, 'lower-case letters, digits and dashes, at most 63', value);
  }
  return value;
}

function segment(what: string, value: string): string {
  return matching(SEGMENT, what, value);
}

function matching(pattern: RegExp, what: string, value: string): string {
  if (!pattern.test(value)) throw refuse(what, String(pattern), value);
  return value;
}

/** Padded, so that the order of keys is the order of numbers. */
function count(what: string, value: number, digits: number): string {
  if (!Number.isInteger(value) || value < 0 || value >= 10 ** digits) {
    throw refuse(what, `a whole number of at most ${digits} digits`, String(value));
  }
  return String(value).padStart(digits, '0');
}

function hourOf(hour: number): string {
  if (hour > 23) throw refuse('hour', '0 to 23', String(hour));
  return count('hour', hour, 2);
}

function refuse(what: string, expected: string, got: string): InvalidInputError {
  return new InvalidInputError(
    `a key cannot be built: ${what} expected ${expected}, got ${JSON.stringify(got.slice(0, 120))}`,
  );
}
