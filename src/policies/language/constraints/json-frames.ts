import type { JsonShape, ObjectMember } from './json-schema';
import { literal, OPTIONAL_SPACE, sequence, type Frame, type Stack } from './machine';
import { numberFrame } from './number-frame';
import { stringFrame } from './string-frame';

/** How deep arrays and objects may lie in each other. */
const DEEPEST = 16;
const [QUOTE, COMMA, COLON] = [0x22, 0x2c, 0x3a];
const [OPEN_LIST, CLOSE_LIST, OPEN_OBJECT, CLOSE_OBJECT] = [0x5b, 0x5d, 0x7b, 0x7d];

let shapeCount = 0;
/** Shapes by number, for keys: equal shapes that are two objects count as two, which costs only time. */
const numbers = new WeakMap<JsonShape, number>();
function numberOf(shape: JsonShape): number {
  const known = numbers.get(shape);
  if (known !== undefined) return known;
  numbers.set(shape, ++shapeCount);
  return shapeCount;
}

/** A JSON value of a shape, written without blanks but for one space behind a comma or a colon, which may be left out. */
export function valueFrame(shape: JsonShape, depth = 0): Frame {
  return {
    key: `v${numberOf(shape)},${depth}`,
    canEnd: false,
    step: (byte, below) => firstFrames(shape, depth).flatMap((frame) => frame.step(byte, below)),
  };
}

/** What a value may begin with; each still waits for its first byte. */
function firstFrames(shape: JsonShape, depth: number): readonly Frame[] {
  switch (shape.kind) {
    case 'literals':
      return shape.texts.map(literal);
    case 'string':
      return [quoted(stringFrame(shape))];
    case 'number':
      return [numberFrame(shape)];
    case 'anyOf':
      return shape.options.flatMap((option) => firstFrames(option, depth));
    case 'reference':
      return firstFrames(shape.target(), depth);
    case 'array':
      return depth < DEEPEST ? [opened(OPEN_LIST, listFrame(shape, depth, 0, 'first'))] : [];
    case 'object':
      return depth < DEEPEST ? [opened(OPEN_OBJECT, objectFrame(shape, depth, 0n, 'first'))] : [];
    case 'any':
      return ANYTHING.flatMap((one) => firstFrames(one, depth));
  }
}

const UNLIMITED = { minLength: 0, maxLength: Infinity };
const ANY: JsonShape = { kind: 'any' };
const ANYTHING: readonly JsonShape[] = [
  { kind: 'literals', texts: ['true', 'false', 'null'] },
  { kind: 'string', ...UNLIMITED },
  {
    ...{ kind: 'number', isInteger: false, minimum: -Infinity, maximum: Infinity },
    ...{ isAboveMinimum: false, isBelowMaximum: false },
  },
  { kind: 'array', items: ANY, minItems: 0, maxItems: Infinity },
  { kind: 'object', members: null },
];

/** A byte, and then a frame. */
function opened(first: number, then: Frame): Frame {
  return {
    key: `o${first}${then.key}`,
    canEnd: false,
    step: (byte, below) => (byte === first ? [{ frame: then, below }] : []),
  };
}
const quoted = (rest: Frame): Frame => opened(QUOTE, rest);

/** `first`: nothing yet. `next`: behind a comma. `after`: behind an element. */
type Place = 'first' | 'next' | 'after';

function listFrame(
  shape: Extract<JsonShape, { kind: 'array' }>,
  depth: number,
  count: number,
  place: Exclude<Place, 'next'>,
): Frame {
  const { minItems, maxItems, items } = shape;
  const counted = Math.min(count, maxItems === Infinity ? minItems : maxItems);
  return {
    key: `a${numberOf(shape)},${depth},${counted}${place}`,
    canEnd: false,
    step(byte, below): readonly Stack[] {
      if (byte === CLOSE_LIST) return counted >= minItems ? [below] : [];
      if (counted >= maxItems) return [];
      const behind: Stack = { frame: listFrame(shape, depth, counted + 1, 'after'), below };
      const value = valueFrame(items, depth + 1);
      if (place === 'first') return value.step(byte, behind);
      return byte === COMMA ? [sequence([OPTIONAL_SPACE, value], behind)] : [];
    },
  };
}

function objectFrame(
  shape: Extract<JsonShape, { kind: 'object' }>,
  depth: number,
  /** Bit i: member i was written. */
  seen: bigint,
  place: Place,
): Frame {
  const { members } = shape;
  const isSeen = (i: number): boolean => ((seen >> BigInt(i)) & 1n) === 1n;
  const mayClose = members?.every(({ isRequired }, i) => !isRequired || isSeen(i)) ?? true;
  const keys = (byte: number, below: Stack): readonly Stack[] =>
    members === null
      ? freeKey(shape, depth).step(byte, below)
      : members.flatMap((member, i) =>
          isSeen(i)
            ? []
            : memberFrame(member, depth).step(byte, {
                frame: objectFrame(shape, depth, seen | (1n << BigInt(i)), 'after'),
                below,
              }),
        );
  return {
    key: `m${numberOf(shape)},${depth},${seen}${place}`,
    canEnd: false,
    step(byte, below): readonly Stack[] {
      if (byte === CLOSE_OBJECT) return place !== 'next' && mayClose ? [below] : [];
      if (place !== 'after') return keys(byte, below);
      const isFull = members?.every((_, i) => isSeen(i)) ?? false;
      if (byte !== COMMA || isFull) return [];
      return [sequence([OPTIONAL_SPACE, objectFrame(shape, depth, seen, 'next')], below)];
    },
  };
}

/** `"name": value`, of which nothing is read yet. */
function memberFrame({ name, shape }: ObjectMember, depth: number): Frame {
  const key = literal(`${JSON.stringify(name)}:`);
  return {
    key: `k${key.key}`,
    canEnd: false,
    step: (byte, below) =>
      key.step(byte, sequence([OPTIONAL_SPACE, valueFrame(shape, depth + 1)], below)),
  };
}

/** Any name with any value, and the place behind it. */
function freeKey(shape: Extract<JsonShape, { kind: 'object' }>, depth: number): Frame {
  return {
    key: `f${numberOf(shape)},${depth}`,
    canEnd: false,
    step(byte, below) {
      const after: Stack = { frame: objectFrame(shape, depth, 0n, 'after'), below };
      const value = sequence([OPTIONAL_SPACE, valueFrame(ANY, depth + 1)], after);
      const colon: Frame = {
        key: ':',
        canEnd: false,
        step: (next, rest) => (next === COLON ? [rest] : []),
      };
      return quoted(stringFrame(UNLIMITED)).step(byte, { frame: colon, below: value });
    },
  };
}
