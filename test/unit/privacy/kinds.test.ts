import { placeholder, redactorOf } from './redactor';

const redact = (text: string): string => redactorOf().text(text);
const TOKEN =
  'eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U';
const PEM_BODY = 'MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7';
const PEM = `-----BEGIN RSA PRIVATE KEY-----\n${PEM_BODY}\n-----END RSA PRIVATE KEY-----`;

/** The text, what is replaced in it, and as what. */
const FOUND: readonly (readonly [kind: string, text: string, value: string, stands?: string])[] = [
  ['email', 'write to Bob.Smith@Example.com.', 'bob.smith@example.com', 'Bob.Smith@Example.com'],
  ['email', '<jörg@müller.de>', 'jörg@müller.de'],
  ['email', 'mailto:bob+tag@mail.example.co.uk?subject=x', 'bob+tag@mail.example.co.uk'],
  ['card', 'card 4111 1111 1111 1111, exp', '4111111111111111', '4111 1111 1111 1111'],
  ['card', 'amex 3782-822463-10005', '378282246310005', '3782-822463-10005'],
  ['card', 'order 1234 5555555555554444', '5555555555554444'],
  [
    'iban',
    'IBAN DE89 3704 0044 0532 0130 00.',
    'DE89370400440532013000',
    'DE89 3704 0044 0532 0130 00',
  ],
  ['iban', 'gb82west12345698765432', 'GB82WEST12345698765432', 'gb82west12345698765432'],
  ['ip', 'from 203.0.113.7:443', '203.0.113.7'],
  ['ip', 'client 10.0.0.7 asked', '10.0.0.7'],
  ['ip', '[2001:db8::8a2e:370:7334]', '2001:db8::8a2e:370:7334'],
  ['phone', 'call +1 415 555 2671 now', '+14155552671', '+1 415 555 2671'],
  ['phone', 'ring (415) 555-2671 please', '+14155552671', '(415) 555-2671'],
  ['phone', 'my number is 0044 20 7946 0958 ok', '+442079460958', '0044 20 7946 0958'],
  ['phone', 'phone: 4155552671', '+14155552671', '4155552671'],
  ['phone', 'Berlin 030 901820', '+4930901820', '030 901820'],
  ['secret', 'use sk-proj-abcDEF123456789abcdefgh', 'sk-proj-abcDEF123456789abcdefgh'],
  [
    'secret',
    'ghp_abcdefghijklmnopqrstuvwxyz0123456789',
    'ghp_abcdefghijklmnopqrstuvwxyz0123456789',
  ],
  ['secret', 'id AKIAIOSFODNN7EXAMPLE', 'AKIAIOSFODNN7EXAMPLE'],
  ['secret', `jwt ${TOKEN}`, TOKEN],
  ['secret', 'Authorization: Bearer abcdef1234567890xyz', 'abcdef1234567890xyz'],
  ['secret', 'api_key = "9f86d081884c7d65"', '9f86d081884c7d65'],
  ['secret', 'password=hunter2!', 'hunter2!'],
  ['secret', 'api_key=a776a02b9545829e785537a0', 'a776a02b9545829e785537a0'], // begins as `a value` does
  ['secret', 'client_secret: theWq81LmNoP2rStUv', 'theWq81LmNoP2rStUv'],
  ['secret', '{"password":"correcthorse"}', 'correcthorse'],
  ['secret', 'postgres://admin:s3cr3tpw@db.example.com/x', 's3cr3tpw'],
  ['secret', `key:\n${PEM}\nend`, PEM.replace(/\s/g, ''), PEM],
  ['secret', `rk-0123456789ab-${'aB3_'.repeat(10)}xyz`, `rk-0123456789ab-${'aB3_'.repeat(10)}xyz`],
  [
    'secret',
    `rks-${'eyJhb'.repeat(4)}.${'sIg1'.repeat(8)}`,
    `rks-${'eyJhb'.repeat(4)}.${'sIg1'.repeat(8)}`,
  ],
];

describe('what is replaced', () => {
  const found = FOUND.map(([kind, text, value, stands = value]) => ({ kind, text, value, stands }));
  test.each(found)('$kind in: $text', ({ kind, text, value, stands }) => {
    expect(redact(text)).toBe(text.replace(stands, placeholder(kind, value)));
  });
});

const LEFT = [
  'order 48211 of 2024-11-23 for $1,299.00, tracking 9400110200881234567890',
  'EAN 4859021910943 has the right check digit for a card of 13 digits',
  'ISBN 978-3-16-148410-0 and ISBN 0-306-40615-2',
  'react@18.2.0-beta.1, @types/node@20.19.43, icon@2x.png, git@github.com:a/b.git',
  'version 10.20.30.40, v1.2.3.4, see section 4.3.2.1; bind 0.0.0.0 or 127.0.0.1 or ::1',
  'std::vector, a::b, 12:30:45, 00:1a:2b:3c:4d:5e, dead::beef',
  '3f2c8a6e-8b1d-4c5e-9f00-123456789abc 1700000000000 1700000000',
  'sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08',
  'max_tokens: 4096, token_count: 128000, tokens: 12345678, next token: 2024-11-23T12:00:00Z',
  'password: must contain 8 characters; api_key: YOUR_API_KEY; token=$TOKEN; secret: process.env.SECRET_1',
  'sk-learn-style-estimators, task-1234567890abcdef, bearer of good news and bearer-like things',
  'the price of 4111 1111 1111 1112 is no card, nor is 0.4111111111111111',
  'DE89 3704 0044 0532 0130 01 has wrong check digits',
  '/usr/local/share/applications/SomeLongCamelCaseIdentifierName.desktop',
];

describe('what is left alone', () => {
  test.each(LEFT)('%s', (text) => {
    expect(redact(text)).toBe(text);
  });
});

describe('kinds', () => {
  test('can be switched off one by one', () => {
    const off = redactorOf({ kinds: { email: false, card: false } });
    expect(off.text('bob@example.com 4111111111111111 203.0.113.7')).toBe(
      `bob@example.com 4111111111111111 ${placeholder('ip', '203.0.113.7')}`,
    );
  });

  test('have one placeholder for one value, however it is written', () => {
    expect(redact('4111-1111-1111-1111')).toBe(redact('4111111111111111'));
    expect(redact('BOB@x.com')).toBe(redact('bob@X.com'));
    expect(redact('bob@x.com')).not.toBe(redact('rob@x.com'));
  });

  test('never find anything in placeholders', () => {
    for (const [, text] of FOUND) expect(redact(redact(text))).toBe(redact(text));
  });
});

describe('texts that are meant to take long', () => {
  const N = 300_000;
  test.each([
    ['@', '@'.repeat(N)],
    ['digits', '4'.repeat(N)],
    ['digits and spaces', '4 '.repeat(N / 2)],
    ['colons', ':'.repeat(N)],
    ['colons and digits', '1:'.repeat(N / 2)],
    ['dots', '1.'.repeat(N / 2)],
    ['backslashes', '\\'.repeat(N)],
    ['percents', '%25'.repeat(N / 3)],
    ['beginnings of keys', '-----BEGIN PRIVATE KEY-----'.repeat(N / 27)],
    ['names of keys', 'password:'.repeat(N / 9)],
    ['tokens', 'eyJaaaaaaaa.'.repeat(N / 12)],
    ['base64', 'YWFh'.repeat(N / 4)],
    ['pluses', '+1 '.repeat(N / 3)],
    ['brackets', '(1'.repeat(N / 2)],
    ['countries', 'DE89 '.repeat(N / 5)],
    ['URLs', 'a://b:c'.repeat(N / 7)],
  ])('%s take time in proportion', (_, text) => {
    const startedAt = performance.now();
    redactorOf({ deny: ['**.a'] }).text(text);
    expect(performance.now() - startedAt).toBeLessThan(3_000); // quadratic would be minutes
  });
});
