import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Role, revokeApiKey } from '../../../src/gateway/keys/api-keys';
import type { Admitted } from '../../../src/gateway/keys/auth';
import type { Fixture } from './gateway-fixture';
import { createFixture, NOW } from './gateway-fixture';
import { MODEL_REQUESTS } from './model-requests';

const EVERYBODY: readonly Admitted[] = [...Role.options, 'session'];

interface Row {
  readonly route: string;
  /** null: anybody, without a key. */
  readonly admits: readonly Admitted[] | null;
  readonly body?: object;
  /** Where the route has parameters. @default the route's own */
  readonly path?: string;
}

/** Who may do what. A route that is not here fails the test below: deny by default is written down, not remembered. */
const ROWS: readonly Row[] = [
  ...Object.values(MODEL_REQUESTS).map(({ path, body }) => ({
    ...{ route: `POST ${path}`, admits: ['session', 'agent'] as const },
    body: body('ratchet/support', 'give me my money back'),
  })),
  {
    route: 'POST /v1/messages/count_tokens',
    admits: ['session', 'agent'],
    body: MODEL_REQUESTS.messages.body('ratchet/support', 'give me my money back'),
  },
  ...[
    'GET /v1/responses/:id',
    'DELETE /v1/responses/:id',
    'GET /v1/responses/:id/input_items',
    'POST /v1/responses/:id/cancel',
  ].map((route) => ({ route, admits: ['session', 'agent'] as const })),
  { route: 'GET /v1/models', admits: EVERYBODY },
  {
    route: 'GET /v1/models/:model{.+}',
    admits: EVERYBODY,
    path: '/v1/models/ratchet/support',
  },
  { route: 'GET /v1/upstreams', admits: ['admin'] },
  { route: 'POST /v1/sessions', admits: ['runner', 'admin'], body: { agent: 'desk' } },
  {
    route: 'POST /v1/feedback',
    admits: ['agent', 'scorer', 'admin'],
    body: { session: 's', value: 1 },
  },
  { route: 'POST /v1/traces', admits: ['agent'], body: { resourceSpans: [] } },
  { route: 'GET /healthz', admits: null },
  { route: 'GET /readyz', admits: null },
  { route: 'GET /metrics', admits: null },
];

function keyOf(gateway: Fixture, who: Admitted): Promise<string> | string {
  if (who === 'session') return gateway.session();
  return gateway.key({ role: who, agent: who === 'agent' ? 'desk' : null });
}

async function statusOf(gateway: Fixture, row: Row, key: string | null): Promise<number> {
  const [method = '', route = ''] = row.route.split(' ');
  const response = await gateway.app.request(row.path ?? route, {
    method,
    headers: key === null ? {} : { authorization: `Bearer ${key}` },
    ...(row.body === undefined ? {} : { body: JSON.stringify(row.body) }),
  });
  return response.status;
}

const isDenial = (status: number): boolean => status === 401 || status === 403;

test('every route has a row, and every row a route', async () => {
  const gateway = await createFixture();
  const routes = gateway.app.routes.map(({ method, path }) => `${method} ${path}`);
  const rows = ROWS.map(({ route }) => route);
  expect([...new Set(routes)].sort()).toEqual(rows.sort());
});

test('no route hides behind something that the test’s gateway was made without', () => {
  const source = readFileSync(join(__dirname, '../../../src/gateway/app.ts'), 'utf8');
  const written = [...source.matchAll(/app\s*\.(\w+)\(\s*'([^']+)'/g)].map(
    ([, method = '', path = '']) => `${method.toUpperCase()} ${path}`,
  );
  expect(written.length).toBeGreaterThan(4);
  const known = ROWS.map(({ route }) => route);
  expect(written.filter((route) => !known.includes(route))).toEqual([]);
});

test('each route lets in whom its row names, and nobody else', async () => {
  const gateway = await createFixture();
  const [got, expected]: [string[], string[]] = [[], []];
  for (const row of ROWS) {
    for (const who of EVERYBODY) {
      const status = await statusOf(gateway, row, await keyOf(gateway, who));
      if (!isDenial(status)) got.push(`${row.route}: ${who}`);
      else expect([row.route, who, status]).toEqual([row.route, who, 403]);
      if (row.admits === null || row.admits.includes(who)) expected.push(`${row.route}: ${who}`);
    }
  }
  expect(got).toEqual(expected);
});

test('no route lets in who has no key, or one that is expired, revoked, cut or made up', async () => {
  let nowMs = NOW;
  const gateway = await createFixture({ now: () => (nowMs += 100) }); // looks for new keys each time
  const revoked = await gateway.key({ role: 'admin' });
  await revokeApiKey(gateway.keys, revoked.slice(3, 15));
  const good = await gateway.key({ role: 'admin' });
  const swap = (key: string): string => key.slice(0, -1) + (key.endsWith('A') ? 'B' : 'A');
  const session = gateway.session();
  const keys: Readonly<Record<string, string | null>> = {
    none: null,
    expired: await gateway.key({ role: 'admin', expiresAtMs: NOW }),
    revoked,
    cut: good.slice(0, -1),
    'another secret': swap(good),
    'another id': `rk-${'0'.repeat(12)}${good.slice(15)}`,
    'an expired session': gateway.session({ expiresAt: NOW / 1_000 }),
    'a cut session': session.slice(0, -1),
    'another session’s signature':
      session.slice(0, session.indexOf('.')) +
      gateway
        .session({ session: 'other' })
        .slice(gateway.session({ session: 'other' }).indexOf('.')),
  };
  for (const row of ROWS) {
    for (const [name, key] of Object.entries(keys)) {
      const status = await statusOf(gateway, row, key);
      expect([row.route, name, isDenial(status)]).toEqual([row.route, name, row.admits !== null]);
      if (row.admits !== null) expect(status).toBe(401);
    }
  }
});
