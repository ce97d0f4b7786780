import type { RandomStream } from '../../src/rl/counter-rng';
import type { BuiltInKind } from '../../src/privacy/span';

const UPPER = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ';
const LOWER = UPPER.toLowerCase();
export const DIGITS = '0123456789';
export const HEX = '0123456789abcdef';
const ALL = UPPER + LOWER + DIGITS;

export function pick<T>(random: RandomStream, items: readonly T[]): T {
  return items[random.below(items.length)] as T;
}

export function chars(random: RandomStream, alphabet: string, count: number): string {
  return Array.from({ length: count }, () => alphabet.charAt(random.below(alphabet.length))).join(
    '',
  );
}

const NAMES = [
  'anna',
  'b.smith',
  'jose_luis',
  'li-wei',
  'o.brien',
  'mueller',
  'k',
  'x.y.z',
  'Ümit',
];
const DOMAINS = [
  'example.com',
  'mail.example.co.uk',
  'acme.io',
  'firma-nord.de',
  'uni.edu',
  'post.xn--p1ai',
];

function luhnDigit(digits: string): string {
  let sum = 0;
  for (let i = 0; i < digits.length; i++) {
    const digit = Number(digits.charAt(digits.length - 1 - i));
    const doubled = i % 2 === 0 ? digit * 2 : digit;
    sum += doubled > 9 ? doubled - 9 : doubled;
  }
  return String((10 - (sum % 10)) % 10);
}

/** Issuers' beginnings and lengths, and how they are printed. Source: https://en.wikipedia.org/wiki/Payment_card_number */
export function card(random: RandomStream): string {
  const [begins, length] = pick(random, [
    ['4', 16],
    ['4', 16],
    ['51', 16],
    ['55', 16],
    ['2221', 16],
    ['2720', 16],
    ['34', 15],
    ['37', 15],
    ['6011', 16],
    ['65', 16],
    ['36', 14],
    ['3528', 16],
    ['62', 16],
  ] as const);
  const body = begins + chars(random, DIGITS, length - begins.length - 1);
  const digits = body + luhnDigit(body);
  const sizes = length === 15 ? [4, 6, 5] : length === 14 ? [4, 6, 4] : [4, 4, 4, 4];
  const separator = pick(random, ['', ' ', '-']);
  let at = 0;
  return sizes.map((size) => digits.slice(at, (at += size))).join(separator);
}

/** Country, and what the account looks like: n digits, a letters. Source: SWIFT's IBAN registry. */
const ACCOUNTS = ['DE18n', 'FR10n11n2n', 'GB4a14n', 'NL4a10n', 'ES20n', 'CH17n', 'PL24n', 'NO11n'];

export function iban(random: RandomStream): string {
  const form = pick(random, ACCOUNTS);
  const country = form.slice(0, 2);
  const account = Array.from(form.slice(2).matchAll(/(\d+)([na])/g), ([, count, of]) =>
    chars(random, of === 'n' ? DIGITS : UPPER, Number(count)),
  ).join('');
  let remainder = 0;
  for (const character of `${account}${country}00`) {
    const value = parseInt(character, 36);
    remainder = (remainder * (value > 9 ? 100 : 10) + value) % 97;
  }
  const whole = `${country}${String(98 - remainder).padStart(2, '0')}${account}`;
  return random.below(2) === 0 ? whole : (whole.match(/.{1,4}/g) ?? []).join(' ');
}

function email(random: RandomStream): string {
  const tag = random.below(4) === 0 ? `+${chars(random, LOWER, 4)}` : '';
  const number = random.below(3) === 0 ? String(random.below(99)) : '';
  return `${pick(random, NAMES)}${number}${tag}@${pick(random, DOMAINS)}`;
}

/** Numbers that exist, as far as their countries' plans say: area codes are real ones. */
function phone(random: RandomStream): string {
  const d = (count: number): string => chars(random, DIGITS, count);
  const local = (): string => `${2 + random.below(8)}${d(2)}`;
  return pick(random, [
    () => `+1 ${pick(random, ['212', '415', '312'])} ${local()} ${d(4)}`,
    () => `+1-${pick(random, ['212', '415', '312'])}-${local()}-${d(4)}`,
    () => `(${pick(random, ['212', '415', '312'])}) ${local()}-${d(4)}`,
    () => `${pick(random, ['212', '415', '312'])}-${local()}-${d(4)}`,
    () => `+44 20 7${d(3)} ${d(4)}`,
    () => `+4420 7${d(3)}${d(4)}`,
    () => `+49 30 ${1 + random.below(9)}${d(6)}`,
    () => `+33 6 1${d(1)} ${d(2)} ${d(2)} ${d(2)}`,
    () => `0044 20 7${d(3)} ${d(4)}`,
    () => `+81 90-${1 + random.below(9)}${d(3)}-${d(4)}`,
  ])();
}

function ip(random: RandomStream): string {
  const byte = (): number => random.below(256);
  const group = (): string => chars(random, HEX, 4);
  return pick(random, [
    () => `${pick(random, [203, 81, 172, 192, 10])}.${byte()}.${byte()}.${21 + random.below(230)}`,
    () => `2001:db8:${group()}::${group()}`,
    () => `fe80::${group()}:${group()}:${group()}`,
    () => Array.from({ length: 8 }, (_, i) => (i === 0 ? '2a02' : group())).join(':'),
  ])();
}

function secret(random: RandomStream): readonly [before: string, value: string, after: string] {
  const random48 = (): string => `${chars(random, ALL, 46)}7x`;
  return pick<() => readonly [string, string, string]>(random, [
    () => ['use ', `sk-proj-${random48()}`, ' now'],
    () => ['', `sk-ant-api03-${random48()}`, ''],
    () => ['token ', `ghp_${chars(random, ALL, 36)}`, '.'],
    () => ['id ', `AKIA${chars(random, 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567', 16)}`, ','],
    () => ['', `xoxb-${chars(random, DIGITS, 12)}-${chars(random, ALL, 24)}`, ''],
    () => [
      'jwt ',
      `eyJhbGciOiJIUzI1NiJ9.eyJ${chars(random, ALL, 30)}.${chars(random, ALL, 43)}`,
      ' end',
    ],
    () => ['Authorization: Bearer ', `${chars(random, ALL, 30)}4`, ''],
    () => ['api_key=', `${chars(random, HEX, 30)}a7`, '&x=1'],
    () => ['password: ', `${chars(random, ALL, 9)}!3k`, ' works'],
    () => ['postgres://app:', `${chars(random, ALL, 14)}9`, '@db.internal/x'],
    () => ['client_secret: ', `${chars(random, ALL, 30)}q8`, ''],
    () => [
      '',
      `-----BEGIN PRIVATE KEY-----\n${chars(random, ALL, 64)}\n${chars(random, ALL, 40)}\n-----END PRIVATE KEY-----`,
      '',
    ],
  ])();
}

const BEFORE: Readonly<Record<Exclude<BuiltInKind, 'secret'>, readonly string[]>> = {
  card: ['card ', 'paid with ', 'number: ', ''],
  iban: ['IBAN ', 'transfer to ', ''],
  email: ['write to ', 'from <', 'mailto:', ''],
  phone: ['call ', 'my number is ', 'tel. ', 'reach me: '],
  ip: ['from ', 'host ', 'client_ip ', '['],
};

/** A value of a kind, and what stands around it. */
export function valueOf(
  random: RandomStream,
  kind: BuiltInKind,
): readonly [before: string, value: string, after: string] {
  if (kind === 'secret') return secret(random);
  const value = { card, iban, email, phone, ip }[kind](random);
  const before = pick(random, BEFORE[kind]);
  return [
    before,
    value,
    before.endsWith('<')
      ? '>'
      : before.endsWith('[')
        ? ']'
        : pick(random, ['.', ',', ' ', ' please']),
  ];
}
