import { placeholder, redactorOf } from './redactor';

const EMAIL = placeholder('email', 'bob@x.com');
const base64 = (text: string): string => Buffer.from(text).toString('base64');

describe('a value is found', () => {
  test.each([
    ['behind an escape of JSON', String.raw`one\nbob@x.com`, String.raw`one\n${EMAIL}`],
    ['spelled with escapes', String.raw`{"to":"bob\u0040x.com"}`, `{"to":"${EMAIL}"}`],
    [
      'in JSON in JSON',
      String.raw`{"a":"{\"to\":\"x\\nbob@x.com\"}"}`,
      String.raw`{"a":"{\"to\":\"x\\n${EMAIL}\"}"}`,
    ],
    ['in a URL', 'https://x.org/?q=bob%40x.com&y=1', `https://x.org/?q=${EMAIL}&y=1`],
    [
      'in a URL, with letters that are several bytes',
      'q=%C3%9Cmit%40x.com',
      `q=${placeholder('email', 'ümit@x.com')}`,
    ],
    ['encoded twice', 'q=bob%2540x.com', `q=${EMAIL}`],
    ['in HTML', 'bob&#64;x.com', EMAIL],
    [
      'in JSON that was cut off',
      String.raw`{"to":"x\nbob@x.com","rest`,
      String.raw`{"to":"x\n${EMAIL}","rest`,
    ],
    ['as the name of a member', '{"bob@x.com":1}', `{"${EMAIL}":1}`],
  ])('%s', (_, text, redacted) => {
    expect(redactorOf().text(text)).toBe(redacted);
  });

  test.each([
    ['base64', base64('please write to bob@x.com today')],
    ['base64url without padding', Buffer.from('??>>bob@x.com>>??').toString('base64url')],
    ['base64 behind a path', `files/${base64('please write to bob@x.com today')}`],
    ['a data: URL', `data:text/plain;base64,${base64('please write to bob@x.com today')}`],
    ['base64 of base64', base64(`again ${base64('please write to bob@x.com today')}`)],
    ['base64 of JSON with escapes', base64(String.raw`{"to":"bob\u0040x.com"}`)],
    [
      'base64 with escaped slashes',
      `"${base64('???bob@x.com???').replaceAll('/', String.raw`\/`)}"`,
    ],
  ])('in %s, and all of it is replaced', (_, text) => {
    const redacted = redactorOf().text(text);
    expect(redacted).toMatch(/\[email:[a-p]{16}\]/);
    for (const offset of [0, 1, 2, 3]) {
      expect(Buffer.from(redacted.slice(offset), 'base64').toString('latin1')).not.toContain('bob');
    }
  });

  test('as a number of JSON, which stays JSON', () => {
    const text = '{"card":4111111111111111,"inner":"{\\"card\\": 4111111111111111}"}';
    const parsed = JSON.parse(redactorOf().text(text)) as { card: string; inner: string };
    expect(parsed.card).toBe(placeholder('card', '4111111111111111'));
    expect(JSON.parse(parsed.inner)).toEqual({ card: parsed.card });
  });

  test('in every text of a value, whatever the member is called', () => {
    const message = {
      role: 'user',
      content: [
        { type: 'text', text: 'bob@x.com' },
        { type: 'image_url', image_url: { url: 'https://x.org/bob@x.com' } },
      ],
      unknown: { deep: ['bob@x.com', 4_111_111_111_111_111, 7, true, null] },
    };
    const redacted = redactorOf().json(message);
    expect(JSON.stringify(redacted)).not.toContain('bob@');
    expect(redacted.unknown.deep).toEqual([
      EMAIL,
      placeholder('card', '4111111111111111'),
      7,
      true,
      null,
    ]);
  });

  test('and a value without any is the same object', () => {
    const message = { role: 'user', content: [{ type: 'text', text: 'nothing' }] };
    expect(redactorOf().json(message)).toBe(message);
  });

  test('and what is nested without end is replaced as a whole', () => {
    let value: unknown = 'bob@x.com';
    for (let i = 0; i < 5_000; i++) value = [value];
    expect(JSON.stringify(redactorOf().json(value))).toContain(placeholder('unsearched', ''));
  });

  test('and texts of base64 that are too long to be searched are replaced', () => {
    const redactor = redactorOf();
    const text = redactor.text(`x ${base64('nothing here. '.repeat(100_000))} y`);
    expect(text).toMatch(/^x \[unsearched:[a-p]{16}\] y$/);
    const bytes = Uint8Array.from({ length: 2_000_000 }, (_, i) => (i * 7_919 + (i >> 3)) % 251);
    const image = Buffer.from(bytes).toString('base64');
    expect(redactor.text(image) === image).toBe(true);
  });
});

describe('a denied path', () => {
  const redactor = redactorOf({ deny: ['customer.ssn', '**.cvv', 'items.note'] });
  const denied = (text: string): string => placeholder('denied', text);

  test('hides its value in JSON texts, whatever it is', () => {
    const text =
      '{"customer": {"ssn": "078-05-1120", "name": "x"}, "pay": [{"cvv": 123}], "items":[{"note":{"a":[1]}},{"note":null}]}';
    expect(JSON.parse(redactor.text(text))).toEqual({
      customer: { ssn: denied('"078-05-1120"'), name: 'x' },
      pay: [{ cvv: denied('123') }],
      items: [{ note: denied('{"a":[1]}') }, { note: denied('null') }],
    });
  });

  test('also in JSON within JSON, which stays JSON', () => {
    const inner = JSON.stringify({ customer: { ssn: 123 } });
    const outer = JSON.parse(redactor.text(JSON.stringify({ args: inner }))) as { args: string };
    expect(JSON.parse(outer.args)).toEqual({ customer: { ssn: denied('123') } });
  });

  test('however many values there are in a JSON that a string holds', () => {
    const inner = JSON.stringify(Array.from({ length: 200_000 }, () => ({ cvv: 1 })));
    const text = redactor.text(JSON.stringify({ args: inner }));
    expect(text.split(denied('1'))).toHaveLength(200_001);
  });

  test('and in messages themselves', () => {
    expect(redactor.json({ customer: { ssn: 1, cvv: 'x' } })).toEqual({
      customer: { ssn: denied('1'), cvv: denied('"x"') },
    });
  });
});

describe('settings', () => {
  test('keep values and domains', () => {
    const redactor = redactorOf({ keep: ['help@acme.com', '*@acme.org', '203.0.113.7'] });
    const text = 'help@acme.com Any.One@Acme.org 203.0.113.7';
    expect(redactor.text(text)).toBe(text);
    expect(redactor.text('bob@acme.com')).toBe(placeholder('email', 'bob@acme.com'));
  });

  test('add patterns, which are searched in linear time', () => {
    const redactor = redactorOf({
      patterns: [
        { name: 'ticket', pattern: 'TICK-[0-9]{4,}' },
        { name: 'slow', pattern: '(a+)+\\$', ignoreCase: true },
      ],
    });
    expect(redactor.text('see TICK-12345')).toBe(`see ${placeholder('ticket', 'TICK-12345')}`);
    const startedAt = performance.now();
    redactor.text('a'.repeat(50_000));
    expect(performance.now() - startedAt).toBeLessThan(3_000);
  });

  test.each([
    ['(a)\\1', /not valid: expected RE2/],
    ['(', /not valid: expected RE2/],
    ['a*', /matches the empty text/],
  ])('refuse the pattern %s', (pattern, message) => {
    expect(() => redactorOf({ patterns: [{ name: 'x', pattern }] })).toThrow(message);
  });
});
