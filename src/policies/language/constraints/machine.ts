/** One part of a text that is being read: what its next byte may be, and what follows. Immutable. */
export interface Frame {
  /** Equal keys mean that whatever follows is judged equally. */
  readonly key: string;
  /** Whether it may end here, before the next byte. */
  readonly canEnd: boolean;
  /** @returns the stacks that the byte leads to: none if it may not come, several if it is not clear yet which part it belongs to. */
  step(byte: number, below: Stack): readonly Stack[];
}

/** What is being read, on top of what waits to go on behind it. null: the whole text is read. */
export type Stack = { readonly frame: Frame; readonly below: Stack } | null;

/** All that a text so far may be. There is one object per set of possibilities, so what was found out of one is found again. */
export interface State {
  readonly isComplete: boolean;
  /** @returns null for a byte that may not come. */
  step(byte: number): State | null;
}

/** Recognizes texts byte by byte, keeping several possibilities at once (Thompson 1968, "Regular expression search algorithm"). */
export class Machine {
  readonly #states = new Map<string, State>();
  /** States that are kept; a machine that met more begins anew with those that it meets. */
  readonly #most: number;

  constructor({ most = 20_000 }: { readonly most?: number } = {}) {
    this.#most = most;
  }

  start(stack: Stack): State {
    return this.#stateOf([stack]);
  }

  #stateOf(stacks: readonly Stack[]): State {
    const byKey = new Map(stacks.map((stack) => [keyOf(stack), stack]));
    const key = [...byKey.keys()].sort().join('|');
    const known = this.#states.get(key);
    if (known !== undefined) return known;
    if (this.#states.size >= this.#most) this.#states.clear();
    const possible = [...byKey.values()];
    const next = new Map<number, State | null>();
    const state: State = {
      isComplete: possible.some(canEnd),
      step: (byte) => {
        const before = next.get(byte);
        if (before !== undefined) return before;
        const reached = possible.flatMap((stack) => stepStack(stack, byte));
        const to = reached.length === 0 ? null : this.#stateOf(reached);
        next.set(byte, to);
        return to;
      },
    };
    this.#states.set(key, state);
    return state;
  }
}

function keyOf(stack: Stack): string {
  let key = '';
  for (let at = stack; at !== null; at = at.below) key += `${at.frame.key}/`;
  return key;
}

function canEnd(stack: Stack): boolean {
  for (let at = stack; at !== null; at = at.below) if (!at.frame.canEnd) return false;
  return true;
}

/** What may end may also be followed at once by what waits below it. */
function stepStack(stack: Stack, byte: number): readonly Stack[] {
  const reached: Stack[] = [];
  for (let at = stack; at !== null; at = at.below) {
    reached.push(...at.frame.step(byte, at.below));
    if (!at.frame.canEnd) break;
  }
  return reached;
}

/** Exactly these bytes. */
export function literalFrame(bytes: Uint8Array, at = 0): Frame {
  return {
    key: `l${Buffer.from(bytes.subarray(at)).toString('hex')}`,
    canEnd: at === bytes.length,
    step(byte, below) {
      if (bytes[at] !== byte) return [];
      return [at + 1 === bytes.length ? below : { frame: literalFrame(bytes, at + 1), below }];
    },
  };
}

export const literal = (text: string): Frame => literalFrame(Buffer.from(text));

/** Nothing, or one space. */
export const OPTIONAL_SPACE: Frame = {
  key: '_',
  canEnd: true,
  step: (byte, below) => (byte === 0x20 ? [below] : []),
};

/** Frames one after the other. */
export function sequence(frames: readonly Frame[], below: Stack): Stack {
  return frames.reduceRight<Stack>((rest, frame) => ({ frame, below: rest }), below);
}
