import { openPauses, type Pauses } from '../../../src/gateway/pauses';
import { chat } from '../../../src/gateway/protocols/chat/chat';
import { ToolsetInterner } from '../../../src/gateway/toolset-interner';
import { askUpstream } from '../../../src/gateway/upstreams/ask-upstream';
import type { PausedKind } from '../../../src/schemas/pause';
import type { ObjectStore } from '../../../src/storage/object-store';
import { readPauses, removePause, writePause } from '../../../src/storage/pauses';
import { createFakeUpstreams } from '../../fakes/fake-upstreams';
import { createMemoryObjectStore } from '../../fakes/memory-object-store';
import { createFixture, NOW } from './gateway-fixture';

const pause = (store: ObjectStore, kind: PausedKind, name: string): Promise<void> =>
  writePause(store, {
    ...{ formatVersion: 1, kind, name, reason: 'moving house', at: new Date(NOW).toISOString() },
  });

async function open() {
  const store = createMemoryObjectStore();
  let nowMs = NOW;
  let questions = 0;
  const errors: string[] = [];
  const onError = (error: string): void => void errors.push(error);
  const pauses: Pauses = await openPauses(store, { now: () => nowMs, onError });
  const upstreams = createFakeUpstreams({
    upstreams: { a: { url: 'http://a.ex/v1' }, b: { url: 'http://b.ex/v1' } },
    models: {
      both: [{ upstream: 'a' }, { upstream: 'b' }],
      'org/only-a': [{ upstream: 'a' }],
      'only-b': [{ upstream: 'b' }],
    },
  });
  const answer = JSON.stringify({
    ...{ id: 'c', choices: [{ message: { role: 'assistant' }, finish_reason: 'stop' }] },
  });
  for (const name of ['a', 'b']) upstreams.always(name, () => ({ chunks: [answer] }));
  const gateway = await createFixture({ upstreams, pauses });
  const keys = {
    desk: await gateway.key({ role: 'agent', agent: 'desk' }),
    other: await gateway.key({ role: 'agent', agent: 'other' }),
  };
  return {
    ...{ store, gateway, upstreams, errors, pauses },
    /** Lets the gateway look again. */
    look: async () => {
      nowMs += 2_000;
      pauses.find('agent', 'x');
      await new Promise(setImmediate); // the store is in memory: what it answers waits for nothing else
    },
    ask: (model: string, agent: keyof typeof keys = 'desk') =>
      gateway.post('/v1/chat/completions', keys[agent], {
        ...{ model, messages: [{ role: 'user', content: `question ${++questions}` }] },
      }),
  };
}

test('a paused upstream gets no new calls; others answer, and if there is none the caller is told why', async () => {
  const { store, look, ask, upstreams } = await open();
  await pause(store, 'upstream', 'a');
  await look();
  for (let i = 0; i < 10; i++) expect((await ask('both')).status).toBe(200);
  expect(new Set(upstreams.requests.map(({ upstream }) => upstream.name))).toEqual(new Set(['b']));
  const refused = await ask('org/only-a');
  expect(refused).toMatchObject({ status: 503, body: { error: { code: 'upstream_paused' } } });
  expect(refused.body.error?.message).toContain('moving house');
  expect(refused.headers.get('retry-after')).toBe('60');
  await removePause(store, 'upstream', 'a');
  await look();
  expect((await ask('org/only-a')).status).toBe(200);
});

test('what is running at an upstream is finished when it is paused, and is shown until then', async () => {
  const { store, look, ask, upstreams, gateway } = await open();
  let finish = (): void => undefined;
  const held = new Promise<void>((resolve) => (finish = resolve));
  const chunk = (delta: object, reason: string | null): string =>
    `data: ${JSON.stringify({ choices: [{ index: 0, delta, finish_reason: reason }] })}\n\n`;
  upstreams.answer({
    headers: { 'content-type': 'text/event-stream' },
    chunks: (async function* () {
      yield chunk({ content: 'one' }, null);
      await held;
      yield chunk({ content: 'two' }, 'stop') + 'data: [DONE]\n\n';
    })(),
  });
  const running = async (): Promise<string | undefined> =>
    /^ratchet_upstream_running\{upstream="a"\} (\d+)$/m.exec(
      await (await gateway.app.request('/metrics')).text(),
    )?.[1];
  const response = await gateway.app.request('/v1/chat/completions', {
    ...{ method: 'POST', headers: { authorization: `Bearer ${gateway.session()}` } },
    body: JSON.stringify({
      ...{ model: 'org/only-a', stream: true, messages: [{ role: 'user', content: 'hi' }] },
    }),
  });
  await pause(store, 'upstream', 'a');
  await look();
  expect((await ask('org/only-a')).status).toBe(503);
  expect(await running()).toBe('1');
  finish();
  expect(await response.text()).toContain('two');
  expect(await running()).toBe('0');
});

test('a call that failed, or whose client goes before it reads a byte, is not running', async () => {
  const { upstreams } = await open();
  const targets = upstreams.models.targets('org/only-a');
  if (targets === null) throw new Error('there is no such model');
  const call = chat.parse(
    '{"model":"org/only-a","stream":true,"messages":[{"role":"user","content":"x"}]}',
    new ToolsetInterner(),
  );
  const client = new AbortController();
  const ask = () =>
    askUpstream(upstreams, chat, call, targets, {
      ...{ stickyKey: 's', header: () => undefined, onRetry: () => undefined },
      ...{ signal: client.signal, pauses: { find: () => undefined } },
    });
  upstreams.answer({ status: 500, chunks: ['{}'] });
  await ask();
  expect(upstreams.health.status('a').running).toBe(0);
  upstreams.answer({ headers: { 'content-type': 'text/event-stream' }, chunks: ['data: {}\n\n'] });
  await ask();
  expect(upstreams.health.status('a').running).toBe(1);
  client.abort();
  expect(upstreams.health.status('a').running).toBe(0);
});

test.each([
  ['agent', 'desk', 'agent_paused'],
  ['model', 'org/only-a', 'model_paused'],
] as const)('a paused %s is told so, and no other', async (kind, name, code) => {
  const { store, look, ask, upstreams } = await open();
  await pause(store, kind, name);
  await look();
  expect(await ask('org/only-a')).toMatchObject({ status: 503, body: { error: { code } } });
  expect(upstreams.requests).toEqual([]);
  expect((await ask('only-b', 'other')).status).toBe(200);
});

test('a store that is down holds no call up, and what was paused stays so', async () => {
  const { store, look, ask, errors } = await open();
  await pause(store, 'upstream', 'a');
  await look();
  store.list = () => {
    throw new Error('the store is down');
  };
  await look();
  await look();
  expect((await ask('org/only-a')).status).toBe(503);
  expect((await ask('only-b')).status).toBe(200);
  expect(errors).toEqual(['the store is down']);
});

test('a pause has a reason, can be said anew, and ends once', async () => {
  const store = createMemoryObjectStore();
  await pause(store, 'model', 'org/m');
  await pause(store, 'model', 'org/m');
  expect(await readPauses(store)).toMatchObject([{ name: 'org/m', reason: 'moving house' }]);
  expect(await removePause(store, 'model', 'org/m')).toBe(true);
  expect(await removePause(store, 'model', 'org/m')).toBe(false);
  expect(await readPauses(store)).toEqual([]);
});
