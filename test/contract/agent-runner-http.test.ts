import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import type { ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { createHttpRunner, type HttpRunnerOptions } from '../../src/adapters/agents/http-runner';
import { InvalidInputError } from '../../src/errors';
import type {
  AgentExit,
  AgentInvocation,
  AgentRunner,
  AgentSpec,
} from '../../src/ports/agent-runner';
import {
  type AgentService,
  type Answer,
  send,
  type ServiceRequest,
  startAgentService,
} from '../helpers/agents/agent-service';
import { callOf, startFakeOpenAi } from '../helpers/agents/fake-openai';
import type { Behaviour } from '../helpers/agents/module-agents';
import { agentRunnerContract, invocation, textWith } from './agent-runner.contract';

type HttpSpec = Extract<AgentSpec, { kind: 'http' }>;

/** The behaviours of module-agents.ts, as a service shows them. */
const behaviours: Readonly<Record<Behaviour, Answer>> = {
  echo: ({ body }, response) => send(response, 200, { result: body }),
  throw: () => {
    throw new Error('the agent broke');
  },
  hang: () => undefined,
  stubborn: (_, response) => void response.writeHead(200).write('{"result":'), // and never the rest of it
  notJson: (_, response) => send(response, 200, 'I called the tool.'),
  halfASurrogate: (_, response) => send(response, 200, '{"result":"\\ud800"}'),
  sized: ({ body }, response) =>
    send(response, 200, { result: 'x'.repeat((body?.input as { chars: number }).chars) }),
};

const services: AgentService[] = [];
const runners: AgentRunner[] = [];
afterEach(async () => {
  await Promise.all(runners.splice(0).map((runner) => runner.close()));
  await Promise.all(services.splice(0).map((service) => service.close()));
});

describe('over every behaviour', () => {
  let service: AgentService;
  beforeAll(async () => {
    service = await startAgentService((request, response) =>
      behaviours[request.path.slice(1) as Behaviour](request, response),
    );
  });
  afterAll(() => service.close());
  agentRunnerContract('http', (behaviour) =>
    createHttpRunner({ kind: 'http', url: `${service.origin}/${behaviour}` }),
  );
});

/** A runner of a service that answers as told. */
async function serve(
  answer: Answer,
  spec: Partial<HttpSpec> = {},
  options: HttpRunnerOptions = { pollMs: 10, backoffMs: 10 },
): Promise<{ readonly service: AgentService; readonly runner: AgentRunner }> {
  const service = await startAgentService(answer);
  const runner = createHttpRunner({ kind: 'http', url: `${service.origin}/run`, ...spec }, options);
  services.push(service);
  runners.push(runner);
  return { service, runner };
}

function run(
  runner: AgentRunner,
  { timeoutMs = 20_000, ...rest }: Partial<AgentInvocation> & { timeoutMs?: number } = {},
): Promise<AgentExit> {
  const { signal } = new AbortController();
  return runner.run({ ...invocation, ...rest }, { timeoutMs, signal });
}

const done: AgentExit = { kind: 'returned', result: 'done' };
const finish = (response: ServerResponse): void => send(response, 200, { result: 'done' });
const detailOf = (exit: AgentExit): string => ('detail' in exit ? exit.detail : exit.kind);

describe('an agent that is a service', () => {
  it('is posted its invocation as JSON, with the idempotency key and the registered headers', async () => {
    const { service, runner } = await serve((_, response) => finish(response), {
      headers: { authorization: 'Bearer of-the-service' },
    });
    expect(await run(runner)).toEqual(done);
    expect(service.requests).toHaveLength(1);
    expect(service.requests[0]).toMatchObject({
      ...{ method: 'POST', path: '/run', body: invocation },
      headers: {
        'content-type': 'application/json',
        accept: 'application/json',
        'idempotency-key': invocation.idempotencyKey,
        authorization: 'Bearer of-the-service',
      },
    });
  });

  it('loses its connection at the deadline, and when it is cancelled', async () => {
    const { service, runner } = await serve(() => undefined);
    expect(await run(runner, { timeoutMs: 100 })).toEqual({ kind: 'timedOut', timeoutMs: 100 });
    await until(() => service.abandoned() === 1);
    const controller = new AbortController();
    const running = runner.run(invocation, { timeoutMs: 60_000, signal: controller.signal });
    await until(() => service.requests.length === 2);
    controller.abort();
    expect(await running).toEqual({ kind: 'cancelled' });
    await until(() => service.abandoned() === 2);
  });

  it('that is not there, or not any more, is unavailable and not crashed', async () => {
    const { service, runner } = await serve((_, response) => finish(response));
    expect(await run(runner)).toEqual(done);
    await service.close();
    expect(await run(runner)).toEqual({
      kind: 'unavailable',
      detail: textWith('could not be reached'),
    });
  });

  it('that hangs up without an answer has crashed', async () => {
    const { runner } = await serve((_, response) => response.destroy());
    expect((await run(runner)).kind).toBe('crashed');
  });

  it.each([502, 504])('is unavailable where the proxy before it says HTTP %d', async (status) => {
    const { runner } = await serve((_, response) => send(response, status, 'bad gateway'));
    expect(await run(runner)).toEqual({
      kind: 'unavailable',
      detail: textWith(`HTTP ${status}: bad gateway`),
    });
  });

  it.each<[string, number, unknown, string]>([
    ['an error', 422, { error: 'no such desk' }, 'HTTP 422: {"error":"no such desk"}'],
    [
      'an answer without a result',
      200,
      { answer: 42 },
      'expected {"result": …}, got {"answer":42}',
    ],
    ['no answer', 204, '', 'is not JSON'],
    ['a list', 200, [], 'holds no result'],
    ['a redirect', 307, '', 'redirects are not followed'],
    ['work without a place', 202, '', 'expected a Location of its own origin, got none'],
  ])('that answers with %s has crashed, and is quoted', async (_, status, body, expected) => {
    const { runner } = await serve((_request, response) =>
      send(response, status, body, { ...(status === 307 ? { location: '/elsewhere' } : {}) }),
    );
    expect(await run(runner)).toEqual({ kind: 'crashed', detail: textWith(expected) });
  });

  it('is never asked at another origin, whatever it says', async () => {
    const other = await serve((_, response) => finish(response));
    const { runner } = await serve((_, response) =>
      send(response, 202, '', { location: `${other.service.origin}/work` }),
    );
    expect((await run(runner)).kind).toBe('crashed');
    expect(other.service.requests).toEqual([]);
  });

  it('may quote the secrets it was sent: no error shows them, nor a half of one', async () => {
    const headers = { authorization: 'Bearer secret-of-the-service', 'x-tenant': 'tenant-12345' };
    for (const [status, padding] of [
      [500, ''],
      [500, 'x'.repeat(1_970)], // so that the cut would fall into a secret
      [200, ''],
      [503, ''],
    ] as const) {
      const { runner, service } = await serve(
        ({ headers: sent, body }, response) =>
          send(response, status, `${padding}${JSON.stringify({ sent, body })}`),
        { headers },
      );
      const detail = detailOf(await run(runner, { timeoutMs: 300 }));
      expect(detail.length).toBeGreaterThan(20);
      expect(detail).not.toMatch(/secret-of|tenant-1|session-key/);
      expect(service.requests.length).toBeGreaterThan(0);
    }
  });

  it.each([
    ['nothing of the kind', 'not an address with secret-1'],
    ['another scheme', 'ftp://agents.example/secret-1'],
    ['credentials in it', 'https://user:secret-1@agents.example/'],
  ])('is refused where its url is %s, without quoting it', (_, url) => {
    const create = (): unknown => createHttpRunner({ kind: 'http', url });
    expect(create).toThrow(InvalidInputError);
    expect(create).not.toThrow(/secret-1/);
  });

  it('is refused where a header cannot be sent, without quoting its value', () => {
    const headers = { authorization: 'Bearer secret-1\n' };
    const create = (): unknown =>
      createHttpRunner({ kind: 'http', url: 'http://agents.example/', headers });
    expect(create).toThrow(/header=authorization/);
    expect(create).not.toThrow(/secret-1/);
  });

  it('is never given more attempts at once than it is registered for', async () => {
    let running = 0;
    let most = 0;
    const { runner } = await serve(
      async (_, response) => {
        most = Math.max(most, ++running);
        await delay(10);
        running -= 1;
        finish(response);
      },
      { maxConcurrency: 3 },
    );
    await Promise.all(Array.from({ length: 12 }, () => run(runner)));
    expect(most).toBe(3);
  });
});

describe('a service that pushes back', () => {
  it.each([429, 503])(
    'with HTTP %d is asked again after Retry-After, under the same key',
    async (status) => {
      const askedAt: number[] = [];
      const { service, runner } = await serve((_, response) => {
        askedAt.push(performance.now());
        if (askedAt.length < 2) send(response, status, 'busy', { 'retry-after': '1' });
        else finish(response);
      });
      expect(await run(runner)).toEqual(done);
      expect((askedAt[1] ?? 0) - (askedAt[0] ?? 0)).toBeGreaterThanOrEqual(990);
      const keys = service.requests.map(({ headers }) => headers['idempotency-key']);
      expect(keys).toEqual([invocation.idempotencyKey, invocation.idempotencyKey]);
    },
  );

  it('until the deadline is unavailable: the agent never had its chance', async () => {
    const { service, runner } = await serve((_, response) => send(response, 503, 'deploying'));
    expect(await run(runner, { timeoutMs: 300 })).toEqual({
      kind: 'unavailable',
      detail: 'the service pushed back with HTTP 503: deploying, until the deadline of 300 ms',
    });
    // 10, 20, 40, … ms apart: not as fast as it can.
    expect(service.requests.length).toBeGreaterThan(2);
    expect(service.requests.length).toBeLessThan(8);
  });

  it('is asked less by all attempts together, and more again once it takes more', async () => {
    const held: ServerResponse[] = [];
    const { runner } = await serve((_, response) => held.push(response), { maxConcurrency: 16 });
    const attempts = Array.from({ length: 40 }, () => run(runner, { timeoutMs: 60_000 }));
    let isOver = false;
    const all = Promise.all(attempts).finally(() => (isOver = true));
    /** All that come before the service answers any of them, by `answer`. */
    const wave = async (answer: (response: ServerResponse) => void): Promise<number> => {
      for (let count = -1; !isOver && (held.length === 0 || count !== held.length);) {
        count = held.length;
        await delay(60);
      }
      const size = held.length;
      held.splice(0).forEach(answer);
      return size;
    };
    const busy = (response: ServerResponse): void => send(response, 503, 'busy');
    expect([await wave(busy), await wave(busy), await wave(busy)]).toEqual([16, 8, 4]);
    const sizes: number[] = [];
    while (!isOver) sizes.push(await wave(finish));
    expect(await all).toEqual(attempts.map(() => done));
    expect(sizes[0]).toBe(2);
    expect(Math.max(...sizes)).toBeGreaterThan(4);
    for (let i = 1; i < sizes.length; i += 1)
      expect((sizes[i] ?? 0) - (sizes[i - 1] ?? 0)).toBeLessThanOrEqual(1); // one more at a time
  });

  it('makes it known who waits', async () => {
    let isBusy = true;
    const { runner } = await serve((_, response) =>
      isBusy ? send(response, 429, 'busy') : finish(response),
    );
    let waiting = 0;
    let most = 0;
    const attempts = Array.from({ length: 5 }, () =>
      runner.run(invocation, {
        ...{ timeoutMs: 20_000, signal: new AbortController().signal },
        onWaiting: (isWaiting) => {
          waiting += isWaiting ? 1 : -1;
          most = Math.max(most, waiting);
        },
      }),
    );
    await until(() => most === 5);
    isBusy = false;
    await Promise.all(attempts);
    expect(waiting).toBe(0);
  });
});

describe('a service that takes its time', () => {
  /** Takes every attempt on with a 202, and answers the n-th question after it as told. */
  const worker = (poll: (asked: number, response: ServerResponse) => void): Answer =>
    (() => {
      let asked = 0;
      return ({ method }: ServiceRequest, response: ServerResponse) => {
        if (method === 'POST') send(response, 202, '', { location: '/work/7' });
        else if (method === 'GET') poll((asked += 1), response);
        else send(response, 204, '');
      };
    })();

  it('answers 202 and a Location, where it is asked until the result is there', async () => {
    const { service, runner } = await serve(
      worker((asked, response) => (asked < 4 ? send(response, 202, '') : finish(response))),
      { headers: { authorization: 'Bearer of-the-service' } },
    );
    expect(await run(runner)).toEqual(done);
    const [first, ...rest] = service.requests.map(({ method, path }) => `${method} ${path}`);
    expect([first, ...new Set(rest)]).toEqual(['POST /run', 'GET /work/7']);
    for (const { headers } of service.requests)
      expect(headers).toMatchObject({
        authorization: 'Bearer of-the-service',
        'idempotency-key': invocation.idempotencyKey,
      });
  });

  it('is asked no sooner than it says', async () => {
    const startedAt = performance.now();
    const { runner } = await serve(({ method }, response) =>
      method === 'POST'
        ? send(response, 202, '', { location: 'work', 'retry-after': '1' })
        : finish(response),
    );
    expect(await run(runner)).toEqual(done);
    expect(performance.now() - startedAt).toBeGreaterThanOrEqual(990);
  });

  it('keeps its work through a push back and a restart', async () => {
    const { service, runner } = await serve(
      worker((asked, response) => {
        if (asked === 1) send(response, 503, 'busy');
        else if (asked === 2) response.destroy();
        else if (asked === 3) send(response, 502, 'restarting');
        else if (asked === 4) send(response, 202, '');
        else finish(response);
      }),
    );
    expect(await run(runner)).toEqual(done);
    expect(service.requests.filter(({ method }) => method === 'POST')).toHaveLength(1);
  });

  it('has timed out at the deadline, and is told that nobody wants its work any more', async () => {
    const { service, runner } = await serve(worker((_, response) => send(response, 202, '')));
    expect(await run(runner, { timeoutMs: 200 })).toEqual({ kind: 'timedOut', timeoutMs: 200 });
    expect(service.requests.at(-1)).toMatchObject({ method: 'DELETE', path: '/work/7' });
  });

  it('is told so, too, when the attempt is cancelled', async () => {
    const { service, runner } = await serve(worker((_, response) => send(response, 202, '')));
    const controller = new AbortController();
    const running = runner.run(invocation, { timeoutMs: 60_000, signal: controller.signal });
    await until(() => service.requests.length > 2);
    controller.abort();
    expect(await running).toEqual({ kind: 'cancelled' });
    expect(service.requests.at(-1)?.method).toBe('DELETE');
  });

  it('is unavailable where it was gone at the deadline', async () => {
    const { runner } = await serve(worker((_, response) => response.destroy()));
    expect(await run(runner, { timeoutMs: 300 })).toEqual({
      kind: 'unavailable',
      detail: textWith('could not be asked after its work'),
    });
  });

  it('has crashed where it lost its work', async () => {
    const { runner } = await serve(
      worker((_, response) => send(response, 404, { error: 'no such work' })),
    );
    expect(await run(runner)).toEqual({ kind: 'crashed', detail: textWith('HTTP 404') });
  });

  it('may think for longer than an HTTP client’s usual 300 s', async () => {
    // Only timers run ahead, undici's own among them: the sockets, and what waits for them, are real.
    jest.useFakeTimers({
      doNotFake: ['nextTick', 'setImmediate', 'queueMicrotask', 'performance'],
    });
    try {
      let answer: () => void = () => undefined;
      let create: typeof createHttpRunner = createHttpRunner;
      jest.isolateModules(() => {
        create = jest.requireActual<{ createHttpRunner: typeof createHttpRunner }>(
          '../../src/adapters/agents/http-runner',
        ).createHttpRunner;
      });
      const service = await startAgentService((_, response) => {
        answer = () => finish(response);
      });
      services.push(service);
      const runner = create({ kind: 'http', url: service.origin });
      runners.push(runner);
      const running = run(runner, { timeoutMs: 3_600_000 });
      const tick = (): Promise<void> => new Promise((next) => void setImmediate(next));
      while (service.requests.length === 0) await tick();
      for (let second = 0; second < 900; second += 1) {
        jest.advanceTimersByTime(1_000);
        await tick();
      }
      answer();
      expect(await running).toEqual(done);
    } finally {
      jest.useRealTimers();
    }
  });
});

describe('the services of docs/agents-http.md', () => {
  const guide = readFileSync(join(__dirname, '../../docs/agents-http.md'), 'utf8');
  const snippet = (language: string): string =>
    new RegExp('```' + language + '\\n([\\s\\S]*?)```').exec(guide)?.[1] ?? '';
  const hasPython = spawnSync('python3', ['--version']).status === 0;

  const check = (language: string, program: string, file: string) => async (): Promise<void> => {
    const folder = mkdtempSync(join(tmpdir(), 'agent-service-'));
    writeFileSync(join(folder, file), snippet(language));
    const port = await freePort();
    const child = spawn(program, [file], {
      cwd: folder,
      env: { ...process.env, PORT: String(port) },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const openAi = await startFakeOpenAi(() => callOf('refund'));
    const runner = createHttpRunner(
      { kind: 'http', url: `http://127.0.0.1:${port}/` },
      { pollMs: 20 },
    );
    try {
      await new Promise<void>((ready) =>
        createInterface({ input: child.stdout }).once('line', () => ready()),
      );
      const { baseUrl } = openAi;
      for (let i = 0; i < 2; i += 1)
        expect(await run(runner, { baseUrl, input: { query: 'my money back' } })).toEqual({
          kind: 'returned',
          result: { tool: 'refund' },
        });
      // The second time it was the same rollout: the key said so, and nobody was asked twice.
      expect(openAi.requests).toHaveLength(1);
      expect(openAi.requests[0]?.headers.authorization).toBe(`Bearer ${invocation.apiKey}`);
      expect(
        await run(runner, { baseUrl: 'http://127.0.0.1:1/v1', idempotencyKey: 'other' }),
      ).toEqual({
        kind: 'crashed',
        detail: textWith('HTTP 500'),
      });
    } finally {
      await runner.close();
      await openAi.close();
      child.kill();
      rmSync(folder, { recursive: true });
    }
  };

  it('run as they stand: Node', check('js', process.execPath, 'agent.mjs'));
  (hasPython ? it : it.skip)('run as they stand: Python', check('python', 'python3', 'agent.py'));
});

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  const { port } = server.address() as { port: number };
  await new Promise((closed) => server.close(closed));
  return port;
}

async function until(isThere: () => boolean): Promise<void> {
  while (!isThere()) await delay(5);
}
