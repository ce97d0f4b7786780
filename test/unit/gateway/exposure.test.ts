import { request } from 'node:https';
import { networkInterfaces } from 'node:os';
import { text } from 'node:stream/consumers';
import { InvalidInputError } from '../../../src/errors';
import { assertSafe, peerFilter, type Exposure } from '../../../src/gateway/http/exposure';
import { serveGateway } from '../../../src/gateway/http/serve';
import { readEnvironment } from '../../../workers/env';
import { selfSigned } from '../../helpers/self-signed';
import { sendRaw } from '../../helpers/raw-http';
import { chat, createFixture } from './gateway-fixture';

const PROXIES: Exposure = { kind: 'proxies', addresses: ['10.0.0.0/8', 'fd00::/8'] };

describe('listening without encryption', () => {
  test.each(['127.0.0.1', '127.9.9.9', 'localhost', '::1', '[::1]'])('is fine on %s', (host) => {
    expect(() => assertSafe(host, null)).not.toThrow();
  });

  test.each(['0.0.0.0', '::', '192.168.1.5', 'gateway.example.com', '127.0.0.1.example.com', ''])(
    'is refused on %j, with what to do',
    async (host) => {
      const { app } = await createFixture();
      const serving = serveGateway(app, { host });
      await expect(serving).rejects.toThrow(InvalidInputError);
      await expect(serving).rejects.toThrow(
        /RATCHET_GATEWAY_TLS_CERT.*TRUSTED_PROXY.*127\.0\.0\.1/,
      );
    },
  );

  test('is fine anywhere where a proxy is stated, or that anybody may listen in', () => {
    for (const exposure of [PROXIES, { kind: 'plain' }] as const) {
      expect(() => assertSafe('0.0.0.0', exposure)).not.toThrow();
    }
  });
});

describe('behind a stated proxy', () => {
  test.each([
    ['10.1.2.3', true],
    ['::ffff:10.1.2.3', true],
    ['fd12::1', true],
    ['127.0.0.1', true],
    ['::1', true],
    ['::ffff:127.0.0.1', true],
    ['11.0.0.1', false],
    ['::ffff:11.0.0.1', false],
    ['fe80::1', false],
    [undefined, false],
  ])('%s may connect: %s', (address, expected) => {
    expect(peerFilter(PROXIES)(address)).toBe(expected);
  });

  test('this machine may connect, too: health checks do', async () => {
    const gateway = await createFixture();
    const server = await serveGateway(gateway.app, { exposure: PROXIES });
    const asks = ['GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n'];
    expect((await sendRaw(server.url, asks)).status).toBe(200);
    await server.close();
  });

  const own = Object.values(networkInterfaces())
    .flatMap((addresses) => addresses ?? [])
    .find(({ family, internal }) => family === 'IPv4' && !internal)?.address;
  // A peer that is not loopback is needed: this machine, by its own address. A machine without a network has none.
  (own === undefined ? test.skip : test)('a peer that is not named gets nothing', async () => {
    const { app } = await createFixture();
    const asks = ['GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n'];
    const status = async (...addresses: [string]): Promise<number> => {
      const exposure = { kind: 'proxies', addresses } as const;
      const server = await serveGateway(app, { host: '0.0.0.0', exposure });
      try {
        return (await sendRaw(`http://${own}:${server.port}`, asks)).status;
      } finally {
        await server.close();
      }
    };
    expect(await status('203.0.113.1')).toBe(0);
    expect(await status(own as string)).toBe(200);
  });
});

describe('TLS', () => {
  const pair = selfSigned();

  function get(
    url: string,
    options: { readonly ca?: string; readonly key: string },
  ): Promise<{ readonly status: number | undefined; readonly body: string }> {
    return new Promise((resolve, reject) => {
      request(url, {
        ...(options.ca === undefined ? {} : { ca: options.ca }),
        ...{ method: 'POST', headers: { authorization: `Bearer ${options.key}` }, agent: false },
      })
        .once('response', (response) => {
          text(response).then((body) => resolve({ status: response.statusCode, body }), reject);
        })
        .once('error', reject)
        .end(JSON.stringify(chat()));
    });
  }

  test('a client that trusts the certificate is answered over https, one that does not goes, and http gets nothing', async () => {
    const gateway = await createFixture();
    const server = await serveGateway(gateway.app, {
      ...{ host: '0.0.0.0', exposure: { kind: 'tls', ...pair } },
    });
    try {
      expect(server.url).toMatch(/^https:/);
      const url = `https://127.0.0.1:${server.port}/v1/chat/completions`;
      const key = gateway.session();
      expect(await get(url, { ca: pair.cert, key })).toMatchObject({ status: 200 });
      await expect(get(url, { key })).rejects.toThrow(/self-signed/);
      const plain = ['GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n'];
      expect((await sendRaw(`http://127.0.0.1:${server.port}`, plain)).status).not.toBe(200);
    } finally {
      await server.close();
    }
  });

  test.each([
    [
      'no PEM',
      { cert: 'no', key: 'a key that is no PEM and must be quoted nowhere, not even in part' },
    ],
    ['the key of another certificate', { cert: pair.cert, key: selfSigned().key }],
    ['a key that is cut', { cert: pair.cert, key: pair.key.slice(0, 100) }],
  ])('%s is refused at the start, and not quoted', async (_, wrong) => {
    const { app } = await createFixture();
    const serving = serveGateway(app, { exposure: { kind: 'tls', ...wrong } });
    await expect(serving).rejects.toThrow(/expected a certificate and its key in PEM/);
    await expect(serving).rejects.not.toThrow(wrong.key.slice(40, 60));
  });
});

describe('the environment', () => {
  const gatewayOf = (variables: NodeJS.ProcessEnv): object | null =>
    readEnvironment(variables).gateway.exposure;

  test('states nothing by default, and what is empty states nothing', () => {
    expect(gatewayOf({})).toBeNull();
    const empty = { RATCHET_GATEWAY_TRUSTED_PROXY: '', RATCHET_GATEWAY_TLS_CERT: '' };
    expect(gatewayOf(empty)).toBeNull();
  });

  test('states TLS by two files, or the addresses of a proxy', () => {
    const tls = { RATCHET_GATEWAY_TLS_CERT: '/c.pem', RATCHET_GATEWAY_TLS_KEY: '/k.pem' };
    expect(gatewayOf(tls)).toEqual({ kind: 'tls', certPath: '/c.pem', keyPath: '/k.pem' });
    expect(gatewayOf({ RATCHET_GATEWAY_TRUSTED_PROXY: '10.0.0.1, fd00::/8' })).toEqual({
      ...{ kind: 'proxies', addresses: ['10.0.0.1', 'fd00::/8'] },
    });
  });

  test.each([
    [{ RATCHET_GATEWAY_TLS_CERT: '/c.pem' }, /go together/],
    [{ RATCHET_GATEWAY_TRUSTED_PROXY: 'true' }, /expected an IP address or a network.*"true"/],
    [{ RATCHET_GATEWAY_TRUSTED_PROXY: '10.0.0.0/99' }, /expected an IP address/],
    [{ RATCHET_GATEWAY_TRUSTED_PROXY: '10.0.0.0/8/8' }, /expected an IP address/],
    [
      {
        ...{ RATCHET_GATEWAY_TLS_CERT: 'c', RATCHET_GATEWAY_TLS_KEY: 'k' },
        RATCHET_GATEWAY_TRUSTED_PROXY: '10.0.0.1',
      },
      /without TLS/,
    ],
  ])('%j is refused', (variables, reason) => {
    expect(() => readEnvironment(variables)).toThrow(reason);
  });
});
