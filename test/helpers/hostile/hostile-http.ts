import fc from 'fast-check';

/** Requests as bytes: a right one that was changed in its line, its headers, how its body is announced, and where it is cut into pieces. */
export interface RawRequest {
  readonly pieces: readonly Buffer[];
}

const METHODS = ['GET', 'POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS', 'HEAD', 'TRACE', 'CONNECT'];
const method = fc.oneof(
  { weight: 6, arbitrary: fc.constant('POST') },
  { weight: 3, arbitrary: fc.constantFrom(...METHODS, 'PRI', 'post', 'G\0T', '') },
  { weight: 1, arbitrary: fc.string({ maxLength: 12 }) },
);

/** Of requests that reach the app as a URL, too. */
export function hostileTarget(paths: readonly string[]): fc.Arbitrary<string> {
  const path = fc.constantFrom(...paths);
  return fc.oneof(
    { weight: 6, arbitrary: path },
    {
      weight: 3,
      arbitrary: fc
        .tuple(
          path,
          fc.constantFrom(
            ...[
              '/',
              '//',
              '/..',
              '/../v1/models',
              '/%2e%2e/metrics',
              '%00',
              '%0d%0ax-a: b',
              '%',
              '%zz',
              ';a=b',
            ],
            ...[
              '?url=http://evil.example/',
              '?model=x&model=y',
              '#x',
              '/%c0%af',
              '\\..\\',
              '%1b%5b2J',
              '/*',
            ],
          ),
        )
        .map(([base, extra]) => base + extra),
    },
    {
      weight: 1,
      arbitrary: fc.constantFrom(
        ...[
          '*',
          '/',
          '//evil.example/v1/models',
          'http://evil.example/v1/models',
          'evil.example:443',
        ],
        ...[
          '/V1/MODELS',
          '/v1',
          '/v1/',
          '/s/rks-a.b/v1/models',
          '/../../etc/passwd',
          '/__proto__',
          '?',
        ],
      ),
    },
    { weight: 1, arbitrary: fc.webPath() },
  );
}

const version = fc.oneof(
  { weight: 12, arbitrary: fc.constant('HTTP/1.1') },
  {
    weight: 1,
    arbitrary: fc.constantFrom('HTTP/1.0', 'HTTP/0.9', 'HTTP/2.0', 'HTTP/1.1 ', 'http/1.1', ''),
  },
);

const header = fc.oneof(
  fc.constantFrom(
    ...[
      'content-length: 0',
      'content-length: 5',
      'content-length: 99999999',
      'content-length: 1e3',
    ],
    ...['content-length: -1', 'content-length: 0x10', 'content-length: 18446744073709551617'],
    ...[
      'transfer-encoding: chunked',
      'transfer-encoding: gzip, chunked',
      'transfer-encoding: xchunked',
    ],
    ...[
      'Transfer-Encoding : chunked',
      'transfer-encoding:\tchunked',
      'transfer-encoding: identity',
    ],
    ...[
      'content-encoding: gzip',
      'content-encoding: br, gzip',
      'expect: 100-continue',
      'expect: x',
    ],
    ...[
      'connection: upgrade',
      'upgrade: websocket',
      'upgrade: h2c',
      'connection: close',
      'te: trailers',
    ],
    ...['host: evil.example', 'host: a b', 'host:', 'x-forwarded-for: 127.0.0.1', 'trailer: host'],
    ...[
      'x-ratchet-session: ../../x',
      'x-ratchet-session: \x1b[2J',
      'x-ratchet-agent: other',
      'x-a:b\n c',
    ],
    ...[
      'authorization: Bearer',
      'authorization: Basic Zm9v',
      'x-api-key: rk-',
      ': empty',
      'no colon',
    ],
    ...['content-type: text/plain', 'content-type: multipart/form-data; boundary=x', 'cookie: a=b'],
    ...['anthropic-version: \u00ff\u00fe', 'idempotency-key: ../../x', 'range: bytes=0-', 'x: \0'],
  ),
  fc
    .tuple(fc.string({ maxLength: 20 }), fc.string({ unit: 'binary', maxLength: 40 }))
    .map((pair) => pair.join(': ')),
  fc.nat({ max: 200 }).map((n) => Array.from({ length: n }, (_, i) => `x-${i}: y`).join('\r\n')),
);

const lineEnd = fc.oneof(
  { weight: 12, arbitrary: fc.constant('\r\n') },
  { weight: 1, arbitrary: fc.constantFrom('\n', '\r', '\r\r\n', '\n\r') },
);

/** How a body is announced and sent: by its length or a wrong one, in chunks or in what is nearly that. */
function framed(body: Buffer, how: string): { readonly headers: string[]; readonly bytes: Buffer } {
  const size = body.length.toString(16);
  const chunks = (head: string, tail = '0\r\n\r\n'): Buffer =>
    Buffer.concat([Buffer.from(`${head}\r\n`), body, Buffer.from(`\r\n${tail}`)]);
  const chunked = ['transfer-encoding: chunked'];
  switch (how) {
    case 'longer':
      return { headers: [`content-length: ${body.length + 7}`], bytes: body };
    case 'shorter':
      return { headers: [`content-length: ${Math.max(0, body.length - 7)}`], bytes: body };
    case 'chunked':
      return { headers: chunked, bytes: chunks(size) };
    case 'extended':
      return { headers: chunked, bytes: chunks(`${size};a="b"`, '0\r\nx-trailer: y\r\n\r\n') };
    case 'wrong chunk':
      return { headers: chunked, bytes: chunks(`${size}0`) };
    case 'no chunk':
      return { headers: chunked, bytes: chunks('zz') };
    case 'huge chunk':
      return { headers: chunked, bytes: chunks('ffffffffffffffff') };
    case 'endless':
      return { headers: chunked, bytes: chunks(size, '') };
    case 'both':
      return { headers: [`content-length: ${body.length}`, ...chunked], bytes: chunks(size) };
    case 'none':
      return { headers: [], bytes: body };
    default:
      return { headers: [`content-length: ${body.length}`], bytes: body };
  }
}

export function rawRequest(
  keys: readonly string[],
  paths: readonly string[],
  body: fc.Arbitrary<string | Uint8Array>,
): fc.Arbitrary<RawRequest> {
  return fc
    .record({
      line: fc.tuple(method, hostileTarget(paths), version),
      key: fc.constantFrom(...keys),
      headers: fc.array(header, { maxLength: 3 }),
      body,
      how: fc.constantFrom(
        ...['right', 'right', 'right', 'chunked', 'extended', 'longer', 'shorter', 'wrong chunk'],
        ...['no chunk', 'huge chunk', 'endless', 'both', 'none'],
      ),
      end: lineEnd,
      cuts: fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { maxLength: 4 }),
    })
    .map(({ line, key, headers, body: content, how, end, cuts }) => {
      const { headers: framing, bytes } = framed(Buffer.from(content), how);
      const head = [
        line.join(' '),
        'host: x',
        `authorization: Bearer ${key}`,
        ...framing,
        ...headers,
      ];
      const all = Buffer.concat([Buffer.from(`${head.join(end)}${end}${end}`, 'latin1'), bytes]);
      const at = cuts.map((part) => Math.floor(part * all.length)).sort((a, b) => a - b);
      return { pieces: [0, ...at].map((from, i) => all.subarray(from, at[i])) };
    });
}
