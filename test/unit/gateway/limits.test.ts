import { createAgentLimiter, type AgentLimiter } from '../../../src/gateway/limits/agent-limiter';
import type { ProcessSpending, SpendingLedger } from '../../../src/gateway/limits/ledger';
import { createTokenBucket } from '../../../src/gateway/limits/token-bucket';
import { LimitsConfig } from '../../../src/schemas/agent-limits';
import { GatewayConfig } from '../../../src/schemas/gateway-config';
import { createFakeUpstreams } from '../../fakes/fake-upstreams';
import { createFixture, NOW } from './gateway-fixture';

/** Processes that read what the others have spent when `share` is called. */
function createSharedLedgers(): { open(): SpendingLedger; share(): void } {
  const own = new Map<string, () => ProcessSpending>();
  const seen = new Map<string, ReadonlyMap<string, ProcessSpending>>();
  let processes = 0;
  const share = (): void => {
    for (const name of seen.keys()) {
      const others = [...own].filter(([other]) => other !== name);
      seen.set(name, new Map(others.map(([other, spending]) => [other, spending()])));
    }
  };
  return {
    share,
    open() {
      const name = `process-${++processes}`;
      seen.set(name, new Map());
      share();
      return {
        others: () => seen.get(name) ?? new Map(),
        publish: (spending) => void own.set(name, spending),
        close: async () => undefined,
      };
    },
  };
}

interface Opened {
  readonly limiter: AgentLimiter;
  /** Another process, which has read what was spent so far. */
  readonly another: () => AgentLimiter;
  readonly share: () => void;
  readonly at: (ms: number) => void;
  /** How often the agent gets in before it is refused. */
  readonly fill: (limiter?: AgentLimiter, agent?: string) => number;
}

function open(limits: object): Opened {
  const config = LimitsConfig.parse(limits);
  const ledgers = createSharedLedgers();
  let nowMs = NOW;
  const another = (): AgentLimiter => createAgentLimiter(config, ledgers.open(), () => nowMs);
  const limiter = another();
  return {
    ...{ limiter, another },
    share: () => ledgers.share(),
    at: (ms) => void (nowMs = NOW + ms),
    fill(one = limiter, agent = 'desk') {
      for (let admitted = 0; ; admitted++) {
        try {
          one.admit(agent);
        } catch {
          return admitted;
        }
      }
    },
  };
}

const used = (tokens: number, costMicros = 0): { tokens: number; costMicros: number } => ({
  ...{ tokens, costMicros },
});

describe('a token bucket', () => {
  test('holds a minute’s worth, and fills evenly up to that', () => {
    const bucket = createTokenBucket(60, 0);
    bucket.take(60, 0);
    expect(bucket.waitMs(1, 0)).toBe(1_000);
    expect(bucket.waitMs(1, 1_000)).toBe(0);
    bucket.take(59, 1_000_000);
    expect(bucket.waitMs(2, 1_000_000)).toBe(1_000);
  });

  test('that is in debt lets nothing through until it is paid', () => {
    const bucket = createTokenBucket(60, 0);
    bucket.take(180, 0);
    expect(bucket.waitMs(1, 0)).toBe(121_000);
  });

  test('of less than one per minute lets one through when it is full', () => {
    const bucket = createTokenBucket(0.5, 0);
    expect(bucket.waitMs(1, 0)).toBe(0);
    bucket.take(1, 0);
    expect(bucket.waitMs(1, 0)).toBe(120_000);
  });

  test('is not filled by a clock that goes back', () => {
    const bucket = createTokenBucket(60, 10_000);
    bucket.take(60, 10_000);
    expect(bucket.waitMs(1, 0)).toBe(1_000);
    expect(bucket.waitMs(1, 10_500)).toBe(500);
  });
});

describe('the limits of an agent', () => {
  test('on requests let so many through at once, and then evenly', () => {
    const { fill, at } = open({ agents: { desk: { requestsPerMinute: 6 } } });
    expect(fill()).toBe(6);
    at(20_000);
    expect(fill()).toBe(2);
  });

  test('on tokens hold back what comes after them', () => {
    const { limiter, fill, at } = open({ agents: { desk: { tokensPerMinute: 1_000 } } });
    limiter.admit('desk');
    limiter.charge('desk', used(2_000));
    expect(fill()).toBe(0);
    at(59_000);
    expect(fill()).toBe(0);
    at(61_000);
    expect(() => limiter.admit('desk')).not.toThrow();
  });

  test.each([
    ['tokens', { per: 'hour', tokens: 100 }, used(100, 0)],
    ['money', { per: 'hour', money: 0.5 }, used(1, 500_000)],
  ])('on %s refuse until the next window begins', (_, budget, spent) => {
    const { limiter, fill, at } = open({ agents: { desk: { budgets: [budget] } } });
    limiter.admit('desk');
    limiter.charge('desk', spent);
    const refused = { status: 429, reason: 'budget_exceeded', retryAfterMs: 3_600_000 };
    expect(() => limiter.admit('desk')).toThrow(expect.objectContaining(refused) as Error);
    at(3_599_999);
    expect(fill()).toBe(0);
    at(3_600_000);
    expect(() => limiter.admit('desk')).not.toThrow();
  });

  test('are its own: others go on, and those who are not named have the default, each for itself', () => {
    const { fill } = open({
      ...{ default: { requestsPerMinute: 2 }, agents: { desk: { requestsPerMinute: 5 } } },
    });
    expect(['desk', 'a', 'b', 'a'].map((agent) => fill(undefined, agent))).toEqual([5, 2, 2, 0]);
  });

  test('hold for all processes together', () => {
    const { limiter, another, share, fill } = open({
      default: { requestsPerMinute: 10, budgets: [{ per: 'day', tokens: 100 }] },
    });
    const other = another();
    for (let i = 0; i < 4; i++) limiter.admit('desk');
    other.admit('desk');
    share();
    expect(fill(other)).toBe(10 - 5);
    share();
    expect(fill()).toBe(0);
    limiter.charge('elsewhere', used(60));
    other.charge('elsewhere', used(40));
    share();
    expect([fill(limiter, 'elsewhere'), fill(other, 'elsewhere')]).toEqual([0, 0]);
  });

  test('survive a restart: what was spent in the window before it counts', () => {
    const limits = open({
      default: { requestsPerMinute: 10, budgets: [{ per: 'day', money: 1 }] },
    });
    for (let i = 0; i < 7; i++) limits.limiter.admit('desk');
    const next = limits.another();
    expect(limits.fill(next)).toBe(3);
    limits.limiter.charge('other', used(1, 1_000_000));
    const last = limits.another();
    expect(limits.fill(last, 'other')).toBe(0);
    limits.at(86_400_000);
    expect(limits.fill(last, 'other')).toBe(10);
  });
});

describe('a call', () => {
  const answer = (usage?: object): object => ({
    ...{ id: 'c', ...(usage === undefined ? {} : { usage }) },
    choices: [{ index: 0, message: { role: 'assistant', content: 'ab' }, finish_reason: 'stop' }],
  });
  async function gatewayWith(limits: object) {
    const upstreams = createFakeUpstreams({
      upstreams: { a: { url: 'http://a.ex/v1', prices: { m: { input: 2, output: 8 } } } },
      models: { m: [{ upstream: 'a' }] },
    });
    const config = LimitsConfig.parse(limits);
    const ledger = createSharedLedgers().open();
    const limiter = createAgentLimiter(config, ledger, () => NOW);
    const gateway = await createFixture({ upstreams, limiter });
    const key = await gateway.key({ role: 'agent', agent: 'desk' });
    const body = { model: 'm', messages: [{ role: 'user', content: 'hi' }] };
    const ask = () => gateway.post('/v1/chat/completions', key, body);
    return { gateway, upstreams, ask, key, body };
  }

  test('beyond a limit is a 429 that says how long to wait, and reaches no upstream', async () => {
    const { upstreams, ask } = await gatewayWith({ default: { requestsPerMinute: 1 } });
    upstreams.answerJson(answer());
    expect((await ask()).status).toBe(200);
    const refused = await ask();
    expect(refused).toMatchObject({
      ...{
        status: 429,
        body: { error: { type: 'rate_limit_error', code: 'rate_limit_exceeded' } },
      },
    });
    expect(refused.headers.get('retry-after')).toBe('60');
    expect(upstreams.requests).toHaveLength(1);
  });

  test('counts for what the upstream says that it used, at its price', async () => {
    const { upstreams, ask } = await gatewayWith({
      default: { budgets: [{ per: 'day', money: 0.00003 }] },
    });
    upstreams.answerJson(answer({ prompt_tokens: 10, completion_tokens: 1 })); // 28 millionths
    upstreams.answerJson(answer({ prompt_tokens: 1, completion_tokens: 0 })); // and 2
    expect([(await ask()).status, (await ask()).status]).toEqual([200, 200]);
    expect((await ask()).body.error?.code).toBe('budget_exceeded');
  });

  test('of an upstream that does not say counts for its text, and for that of its answer', async () => {
    const body = { model: 'm', messages: [{ role: 'user', content: 'hi' }] };
    const tokens = Math.ceil(JSON.stringify(body).length / 4) + 1;
    const { upstreams, ask } = await gatewayWith({
      default: { budgets: [{ per: 'day', tokens }] },
    });
    upstreams.answerJson(answer());
    expect((await ask()).status).toBe(200);
    expect((await ask()).status).toBe(429);
  });

  test('that breaks off counts for its prompt', async () => {
    const { gateway, upstreams, key, body, ask } = await gatewayWith({
      default: { budgets: [{ per: 'day', tokens: 10 }] },
    });
    upstreams.answerEvents(['data: {"choices":[{"index":0,"delta":{"content":"half"}}]}\n\n']);
    const response = await gateway.app.request('/v1/chat/completions', {
      ...{ method: 'POST', headers: { authorization: `Bearer ${key}` } },
      body: JSON.stringify({ ...body, stream: true }),
    });
    await response.text();
    expect((await ask()).status).toBe(429);
  });
});

test('a budget of nothing is refused', () => {
  const config = { limits: { agents: { desk: { budgets: [{ per: 'day' }] } } } };
  expect(GatewayConfig.safeParse(config).success).toBe(false);
});
