import { z } from 'zod';
import { IntegrityError, InvalidInputError } from '../errors';
import type { Feedback } from '../policies/policy-kind';

/**
 * Stored feedback, one entry per distinct (text, available arms). It survives runs: an iteration is handed the previous
 * one's bytes and returns its own. Feedback never says what would have been right, only what an arm that was taken earned.
 */
export interface ReplayEntry {
  readonly text: string;
  /** Names of the arms that the requests could take, in their policy's order. */
  readonly available: readonly string[];
  /** The last iteration that brought feedback for this entry: its age decides how much it still counts. */
  readonly iteration: number;
  readonly arms: readonly ArmTally[];
}

export interface ArmTally {
  readonly arm: string;
  /** Times taken. */
  readonly count: number;
  /** Sum of the rewards. */
  readonly reward: number;
}

/** Entries in ascending order of their key; a value that is never changed. */
export interface ReplayBuffer {
  readonly entries: readonly ReplayEntry[];
}

const FORMAT = 'ratchet.replay';
const VERSION = 1;

const Header = z.strictObject({
  format: z.literal(FORMAT),
  version: z.literal(VERSION),
  /** The distinct sets of available arms; entries name them by position. */
  offers: z.array(z.array(z.string())),
});
const Line = z.strictObject({
  text: z.string(),
  offer: z.int().min(0),
  iteration: z.int().min(0),
  arms: z
    .array(
      z.strictObject({ arm: z.string(), count: z.int().positive(), reward: z.number().min(0) }),
    )
    .min(1),
});

export function emptyReplay(): ReplayBuffer {
  return { entries: [] };
}

/** By UTF-16 units: the same on every machine, unlike `localeCompare`. */
function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** Canonical names of sets of arms; many decisions share one array, so each array is joined once. */
function offerNames(): (available: readonly string[]) => string {
  const known = new WeakMap<readonly string[], string>();
  return (available) => {
    let name = known.get(available);
    if (name === undefined) known.set(available, (name = JSON.stringify(available)));
    return name;
  };
}

/**
 * Adds the feedback of one iteration. Pure; the order of `feedback` does not matter, not even for the last bit of a sum.
 *
 * @throws {InvalidInputError} if a reward is outside [0, 1], a propensity outside (0, 1], or an arm was not available.
 */
export function mergeFeedback(
  buffer: ReplayBuffer,
  feedback: readonly Feedback[],
  iteration: number,
): ReplayBuffer {
  const nameOf = offerNames();
  const keyOf = (text: string, available: readonly string[]): string =>
    `${nameOf(available)}\n${text}`;
  const entries = new Map(
    buffer.entries.map((entry) => [keyOf(entry.text, entry.available), entry]),
  );
  const news = new Map<string, Feedback[]>();
  for (const item of feedback) {
    checkFeedback(item);
    const key = keyOf(item.text, item.available);
    const group = news.get(key);
    if (group === undefined) news.set(key, [item]);
    else group.push(item);
  }
  for (const [key, group] of news) {
    const [{ text, available }] = group as [Feedback, ...Feedback[]];
    const tallies = new Map(entries.get(key)?.arms.map((tally) => [tally.arm, tally]));
    // Sums of floats depend on the order of addition: fix it.
    group.sort((a, b) => compareText(a.arm, b.arm) || a.reward - b.reward);
    for (const { arm, reward } of group) {
      const old = tallies.get(arm) ?? { arm, count: 0, reward: 0 };
      tallies.set(arm, { arm, count: old.count + 1, reward: old.reward + reward });
    }
    const arms = [...tallies.values()].sort((a, b) => compareText(a.arm, b.arm));
    entries.set(key, { text, available, iteration, arms });
  }
  return {
    entries: [...entries].sort(([a], [b]) => compareText(a, b)).map(([, entry]) => entry),
  };
}

/** @throws {InvalidInputError} as `mergeFeedback` does. */
export function checkFeedback({ arm, available, propensity, reward }: Feedback): void {
  if (!(reward >= 0 && reward <= 1)) {
    throw new InvalidInputError('feedback: expected a reward between 0 and 1', {
      context: { arm, reward },
    });
  }
  if (!(propensity > 0 && propensity <= 1)) {
    throw new InvalidInputError('feedback: expected a propensity above 0 and at most 1', {
      context: { arm, propensity },
    });
  }
  if (!available.includes(arm)) {
    throw new InvalidInputError('feedback: the arm that was taken was not available', {
      context: { arm },
    });
  }
}

/** JSON Lines: a header with the sets of available arms, then one entry per line. Equal buffers give equal bytes. */
export function encodeReplay({ entries }: ReplayBuffer): Uint8Array {
  const nameOf = offerNames();
  const offers = [...new Set(entries.map(({ available }) => nameOf(available)))].sort(compareText);
  const positions = new Map(offers.map((offer, position) => [offer, position]));
  const lines = [
    `{"format":"${FORMAT}","version":${VERSION},"offers":[${offers.join(',')}]}`,
    ...entries.map(({ text, available, iteration, arms }) =>
      JSON.stringify({
        text,
        offer: positions.get(nameOf(available)),
        iteration,
        arms: arms.map(({ arm, count, reward }) => ({ arm, count, reward })),
      }),
    ),
  ];
  return Buffer.from(lines.join('\n') + '\n');
}

/** @throws {IntegrityError} naming the line, if the bytes are not what `encodeReplay` writes. */
export function decodeReplay(bytes: Uint8Array): ReplayBuffer {
  const lines = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    .toString('utf8')
    .split('\n');
  if (lines.pop() !== '')
    throw new IntegrityError('replay buffer: expected a line break at the end');
  const { offers } = parseLine(Header, lines[0] ?? '', 1);
  const entries = lines.slice(1).map((line, index): ReplayEntry => {
    const { offer, ...entry } = parseLine(Line, line, index + 2);
    const available = offers[offer];
    if (available === undefined) {
      throw new IntegrityError('replay buffer: unknown offer', {
        context: { line: index + 2, offer },
      });
    }
    return { ...entry, available };
  });
  return { entries };
}

function parseLine<T>(schema: z.ZodType<T>, line: string, number: number): T {
  try {
    return schema.parse(JSON.parse(line));
  } catch (cause) {
    throw new IntegrityError('replay buffer: a line is not of format ratchet.replay 1', {
      context: { line: number },
      cause,
    });
  }
}
