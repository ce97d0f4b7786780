import { BUILT_IN_KINDS, type BuiltInKind } from '../../src/privacy/span';
import type { RandomStream } from '../../src/rl/counter-rng';
import { card, chars, DIGITS, HEX, iban, pick, valueOf } from './values';

/** A value that stands in a text. */
export interface Planted {
  readonly kind: BuiltInKind;
  readonly start: number;
  /** Exclusive. */
  readonly end: number;
}

export interface PlantedText {
  readonly text: string;
  readonly planted: readonly Planted[];
}

/** What looks like a value and is none. */
const DECOYS: readonly ((random: RandomStream) => string)[] = [
  (r) => `order ${chars(r, DIGITS, 5 + r.below(6))}`,
  (r) => `tracking 1Z${chars(r, '0123456789ABCDEFGHJK', 16)}`,
  (r) =>
    `ISBN 978-${1 + r.below(9)}-${chars(r, DIGITS, 2)}-${chars(r, DIGITS, 6)}-${chars(r, DIGITS, 1)}`,
  (r) => `version ${r.below(30)}.${r.below(30)}.${r.below(30)}.${r.below(300)}`,
  (r) => `v${r.below(9)}.${r.below(99)}.${r.below(99)}-beta.${r.below(9)}`,
  (r) => `${[8, 4, 4, 4, 12].map((n) => chars(r, HEX, n)).join('-')}`,
  (r) => `commit ${chars(r, HEX, 40)}`,
  (r) => `sha256:${chars(r, HEX, 64)}`,
  (r) => `$${1 + r.below(9)},${chars(r, DIGITS, 3)}.${chars(r, DIGITS, 2)}`,
  (r) =>
    `2026-11-${10 + r.below(20)}T${10 + r.below(14)}:${10 + r.below(50)}:${10 + r.below(50)}.${chars(r, DIGITS, 3)}Z`,
  (r) => `17${chars(r, DIGITS, 8)}`,
  (r) => `at 17${chars(r, DIGITS, 11)} ms`,
  (r) =>
    `${chars(r, DIGITS, 3)} of ${chars(r, DIGITS, 4)} items, ${r.below(100)}.${chars(r, DIGITS, 2)} %`,
  (r) => `0.${chars(r, DIGITS, 16)}`,
  (r) => `invoice 2026-${chars(r, DIGITS, 6)}-${chars(r, DIGITS, 2)}`,
  (r) => `MAC ${Array.from({ length: 6 }, () => chars(r, HEX, 2)).join(':')}`,
  (r) => `react@18.${r.below(9)}.${r.below(9)}, icon@2x.png, git@github.com:a/b.git`,
  (r) => `std::vector<int>, a::b::c, ${r.below(24)}:${10 + r.below(50)}:${10 + r.below(50)}`,
  (r) =>
    `room ${chars(r, DIGITS, 3)}-${chars(r, DIGITS, 3)}, shelf ${chars(r, DIGITS, 2)} ${chars(r, DIGITS, 2)} ${chars(r, DIGITS, 2)}`,
  (r) => `lat ${r.below(90)}.${chars(r, DIGITS, 6)}, lon -${r.below(180)}.${chars(r, DIGITS, 6)}`,
  () => 'api_key: YOUR_API_KEY, token=$TOKEN, password: must have 8 characters, max_tokens: 4096',
  (r) => `task-${chars(r, HEX, 16)}, run_${chars(r, HEX, 20)}`,
  // The right shape, and wrong check digits.
  (r) => spoiled(r, card(r)),
  (r) => spoiled(r, iban(r)),
  (r) => `EAN ${chars(r, DIGITS, 13)}`,
  (r) => `ticket #${chars(r, DIGITS, 7)}, PO ${chars(r, DIGITS, 10)}`,
  (r) => `ids ${Array.from({ length: 4 }, () => chars(r, DIGITS, 4)).join(', ')}`,
];

function spoiled(random: RandomStream, value: string): string {
  const last = Number(value.slice(-1));
  return `ref ${value.slice(0, -1)}${(last + 1 + random.below(8)) % 10}`;
}

const PROSE = [
  'the customer asked twice about the delivery and wants an answer today',
  'I looked it up: nothing was booked, so the refund takes three to five days',
  'please check whether the second item is still in the warehouse',
  'the agent called the tool and got an empty list; it tries again with another filter',
];

type Carrier = 'plain' | 'json' | 'nested' | 'url' | 'base64';
const CARRIERS: readonly Carrier[] = ['plain', 'plain', 'plain', 'json', 'nested', 'url', 'base64'];

/** Texts of 100 to 700 characters: prose with a value now and then among about four times as many decoys. */
export function createCorpus(random: RandomStream): () => PlantedText {
  return () => {
    let text = '';
    const planted: Planted[] = [];
    const pieces = 3 + random.below(5);
    for (let i = 0; i < pieces; i++) {
      if (i > 0) text += pick(random, [' ', '\n', '; ', ' – ']);
      const what = random.below(10);
      if (what < 3) text += pick(random, PROSE);
      else if (what < 8) text += pick(random, DECOYS)(random);
      else {
        const kind = pick(random, BUILT_IN_KINDS);
        const { text: carried, start, end } = carry(pick(random, CARRIERS), valueOf(random, kind));
        planted.push({ kind, start: text.length + start, end: text.length + end });
        text += carried;
      }
    }
    return { text, planted };
  };
}

const escape = (text: string): string => JSON.stringify(text).slice(1, -1);

function carry(
  carrier: Carrier,
  [before, value, after]: readonly [string, string, string],
): { readonly text: string; readonly start: number; readonly end: number } {
  const around = (open: string, encode: (text: string) => string, close: string) => {
    const head = open + encode(before);
    const middle = encode(value);
    const text = head + middle + encode(after) + close;
    return { text, start: head.length, end: head.length + middle.length };
  };
  switch (carrier) {
    case 'plain':
      return around('', (text) => text, '');
    case 'json':
      return around('{"id": 7, "note": "', escape, '"}');
    case 'nested':
      return around('{"arguments":"{\\"note\\":\\"', (text) => escape(escape(text)), '\\"}"}');
    case 'url':
      return around('https://x.example/?q=', encodeURIComponent, '&n=1');
    case 'base64': {
      const run = Buffer.from(`a note: ${before}${value}${after} and so on`).toString('base64');
      return { text: run, start: 0, end: run.length };
    }
  }
}
