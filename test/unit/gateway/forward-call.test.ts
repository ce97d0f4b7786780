import type { Pauses } from '../../../src/gateway/pauses';
import type { RequestPatch } from '../../../src/schemas/arm';
import type { Pause } from '../../../src/schemas/pause';
import { createFakeRouter } from '../../fakes/fake-router';
import { createFakeUpstreams, type FakeUpstreams } from '../../fakes/fake-upstreams';
import type { GatewayDeps } from '../../../src/gateway/app';
import { CHAMPION, createFixture, OTHER, type Fixture } from './gateway-fixture';

const CHAT = '/v1/chat/completions';
const SESSION = 'run-1/0/task-1/0';
const CONFIG = {
  upstreams: {
    main: { url: 'https://llm.example/v1' },
    claude: { url: 'https://messages.example/v1', protocols: ['messages'] },
  },
  models: {
    cheap: [{ upstream: 'main', model: 'small-1' }],
    small: [{ upstream: 'main' }],
    claude: [{ upstream: 'claude' }],
  },
  policies: { 'router/planner': 'support' },
};
const PATCHES: Readonly<Record<string, RequestPatch>> = {
  elsewhere: { model: 'no-such-model' },
  claude: { model: 'claude' },
  cheap: { model: 'cheap', systemSuffix: 'Be brief.' },
};
const completion = {
  ...{ id: 'chatcmpl-up-1', object: 'chat.completion', created: 1, model: 'small-1' },
  choices: [{ index: 0, message: { role: 'assistant', content: 'Hello.' }, finish_reason: 'stop' }],
  usage: { prompt_tokens: 7, completion_tokens: 2, total_tokens: 9 },
};
const ask = (overrides: object = {}): object => ({
  ...{ model: 'ratchet/support', messages: [{ role: 'user', content: 'hi' }], temperature: 0 },
  ...overrides,
});

async function openRouter({
  patches = PATCHES,
  temperature = 1,
  ...overrides
}: Partial<GatewayDeps> & {
  readonly patches?: typeof PATCHES;
  readonly temperature?: number;
} = {}): Promise<
  Fixture & { upstreams: FakeUpstreams; router: ReturnType<typeof createFakeRouter> }
> {
  const upstreams = createFakeUpstreams(CONFIG);
  const router = createFakeRouter(patches, temperature);
  const gateway = await createFixture({ upstreams, policies: router, ...overrides });
  return { ...gateway, upstreams, router };
}

describe('a call that a policy has an upstream answer', () => {
  test('reaches the upstream under the patch of the arm, and its answer the client as it is', async () => {
    const gateway = await openRouter();
    gateway.upstreams.answerJson(completion);
    const { status, body } = await gateway.post(CHAT, gateway.session(), ask());
    expect(status).toBe(200);
    expect(body).toEqual(completion);
    expect(JSON.parse(gateway.upstreams.requests[0]?.body ?? '')).toEqual({
      model: 'small-1',
      messages: [
        { role: 'system', content: 'Be brief.' },
        { role: 'user', content: 'hi' },
      ],
      temperature: 0,
    });
  });

  test('is recorded as the policy’s decision about what the agent asked, with who answered', async () => {
    const gateway = await openRouter();
    gateway.upstreams.answerJson(completion);
    await gateway.post(CHAT, gateway.session(), ask());
    const recorded = gateway.recorder.take(SESSION);
    expect(recorded.decisions).toHaveLength(1);
    const [decision] = recorded.decisions;
    expect(decision).toMatchObject({
      ...{ policy: 'support', checkpoint: OTHER },
      // Arms without an upstream that speaks the protocol were masked before anything was drawn.
      sampled: { kind: 'arm', arm: 'cheap', propensity: 0.25, available: 1, arms: ['cheap'] },
      upstream: { name: 'main', model: 'small-1', responseId: 'chatcmpl-up-1' },
      usage: { promptTokens: 7, completionTokens: 2 },
    });
    expect(decision?.context.map((id) => recorded.messages.get(id))).toEqual([
      { role: 'user', content: 'hi' },
    ]);
  });

  test('is streamed like any other', async () => {
    const gateway = await openRouter();
    const chunk = (delta: object, finish: string | null): string =>
      `data: ${JSON.stringify({ id: 'up', choices: [{ index: 0, delta, finish_reason: finish }] })}\n\n`;
    const events = [
      chunk({ role: 'assistant', content: 'Hel' }, null),
      chunk({ content: 'lo.' }, 'stop'),
      'data: [DONE]\n\n',
    ];
    gateway.upstreams.answerEvents(events);
    const response = await gateway.app.request(CHAT, {
      method: 'POST',
      headers: { authorization: `Bearer ${gateway.session()}` },
      body: JSON.stringify(ask({ stream: true })),
    });
    expect(await response.text()).toBe(events.join(''));
    expect(gateway.recorder.take(SESSION).decisions[0]?.sampled.kind).toBe('arm');
  });

  test('leaves the temperature to the upstream: the router’s draw is at that of its session, or its own', async () => {
    const gateway = await openRouter({ temperature: 0.1 });
    gateway.upstreams.answerJson(completion);
    gateway.upstreams.answerJson(completion);
    await gateway.post(CHAT, gateway.session({ sampling: { temperature: 0.5 } }), ask());
    await gateway.post(CHAT, gateway.session({ sampling: null }), ask());
    expect(gateway.router.temperatures).toEqual([0.5, 0.1]);
  });

  test('never reaches a model that is paused: its arm is masked', async () => {
    const pause: Pause = {
      ...{ formatVersion: 1, kind: 'model', name: 'small', reason: 'it answers nonsense' },
      at: '2026-11-25T00:00:00.000Z',
    };
    const pauses: Pauses = {
      find: (kind, name) => (kind === 'model' && name === 'small' ? pause : undefined),
    };
    const patches = { small: { model: 'small' }, cheap: { model: 'cheap' } };
    const gateway = await openRouter({ patches, pauses });
    gateway.upstreams.answerJson(completion);
    await gateway.post(CHAT, gateway.session(), ask());
    const [decision] = gateway.recorder.take(SESSION).decisions;
    expect(decision?.sampled).toMatchObject({ arm: 'cheap', arms: ['cheap'] });
  });

  test('that the upstream refuses is no decision', async () => {
    const gateway = await openRouter();
    gateway.upstreams.answerJson({ error: { message: 'slow down' } }, { status: 429 });
    const { status } = await gateway.post(CHAT, gateway.session(), ask());
    expect(status).toBe(429);
    expect(gateway.recorder.take(SESSION).decisions).toHaveLength(0);
  });
});

describe('an alias of the configuration', () => {
  test('is its policy’s name, for each role of an agent one', async () => {
    const gateway = await openRouter();
    const key = await gateway.key({ role: 'agent', agent: 'desk' });
    gateway.upstreams.answerJson(completion);
    const { status } = await gateway.post(
      CHAT,
      gateway.session({ policy: null, checkpoint: null }),
      ask({ model: 'router/planner' }),
    );
    expect(status).toBe(200);
    expect(gateway.recorder.take(SESSION).decisions[0]).toMatchObject({
      policy: 'support',
      checkpoint: CHAMPION,
    });
    const models = (await gateway.get('/v1/models', key)).body['data'];
    expect((models as { id: string }[]).map(({ id }) => id)).toContain('router/planner');
  });

  test('may not be the name of a model, too', () => {
    expect(() => createFakeUpstreams({ ...CONFIG, policies: { cheap: 'support' } })).toThrow(
      'cheap',
    );
  });
});
