import { NO_PAUSES } from '../../../../src/gateway/pauses';
import { chat } from '../../../../src/gateway/protocols/chat/chat';
import type { Protocol, ProtocolCall } from '../../../../src/gateway/protocols/protocol';
import { responses } from '../../../../src/gateway/protocols/responses/responses';
import { ToolsetInterner } from '../../../../src/gateway/toolset-interner';
import { askUpstream } from '../../../../src/gateway/upstreams/ask-upstream';
import { UpstreamError } from '../../../../src/gateway/upstreams/upstream';
import { createFakeClock } from '../../../fakes/fake-clock';
import { createFakeUpstreams, type FakeUpstreams } from '../../../fakes/fake-upstreams';

// Calls that hold only what is new, since their upstream holds the rest. The protocol does not matter here.

const NAMES = ['a', 'b', 'c', 'd'];
const parsed = chat.parse(
  '{"model":"m","messages":[{"role":"user","content":"and then?"}]}',
  new ToolsetInterner(),
);

function open(): FakeUpstreams {
  const upstreams = createFakeUpstreams(
    {
      upstreams: Object.fromEntries(
        NAMES.map((name) => [
          name,
          { url: `http://${name}.ex/v1`, protocols: ['chat', 'responses'] },
        ]),
      ),
      models: { m: NAMES.map((upstream) => ({ upstream })) },
      ...{ retries: { attempts: 3 }, breaker: { failures: 1 } },
    },
    {},
    createFakeClock(0),
  );
  for (const name of NAMES) {
    upstreams.always(name, () => ({
      headers: { 'content-type': 'application/json' },
      chunks: [
        JSON.stringify({
          id: `resp-of-${name}`,
          choices: [{ message: { role: 'assistant', content: 'x' }, finish_reason: 'stop' }],
        }),
      ],
    }));
  }
  return upstreams;
}

async function ask(
  upstreams: FakeUpstreams,
  key: string,
  held: Partial<ProtocolCall> = {},
  protocol: Protocol = chat,
): Promise<string> {
  const targets = upstreams.models.targets('m');
  if (targets === null) throw new Error('there is no such model');
  const asked = await askUpstream(upstreams, protocol, { ...parsed, ...held }, targets, {
    ...{ stickyKey: key, header: () => undefined, onRetry: () => undefined, pauses: NO_PAUSES },
    signal: new AbortController().signal,
  });
  return asked.target.upstream.name;
}

test('a call that goes on from an answer goes to the upstream that gave it, whoever asks', async () => {
  const upstreams = open();
  for (let i = 0; i < 20; i++) {
    const first = await ask(upstreams, `s-${i}`);
    expect(await ask(upstreams, 'another key', { previousId: `resp-of-${first}` })).toBe(first);
  }
});

test('so does one in a conversation that an upstream holds', async () => {
  const upstreams = open();
  const first = await ask(upstreams, 's-1', { conversationId: 'conv-1' });
  for (let i = 0; i < 20; i++) {
    expect(await ask(upstreams, `key-${i}`, { conversationId: 'conv-1' })).toBe(first);
  }
});

test('another gateway, which did not see the answer, finds it by the session', async () => {
  for (let i = 0; i < 20; i++) {
    const first = await ask(open(), `s-${i}`);
    expect(await ask(open(), `s-${i}`, { previousId: 'resp-elsewhere' })).toBe(first);
  }
});

test('it goes nowhere else when that upstream fails: the others know nothing of it', async () => {
  const upstreams = open();
  const first = await ask(upstreams, 's-1');
  const previousId = `resp-of-${first}`;
  upstreams.always(first, () => new UpstreamError('garbage', 'x'));
  await expect(ask(upstreams, 's-1', { previousId })).rejects.toMatchObject({ fault: 'garbage' });
  await expect(ask(upstreams, 's-1', { previousId })).rejects.toMatchObject({
    fault: 'unavailable',
  });
  expect(upstreams.requests).toHaveLength(2);
});

test('so does one that only names a piece of an answer', async () => {
  const upstreams = open();
  upstreams.models.targets('m')?.forEach(({ upstream }) => {
    upstreams.always(upstream.name, () => ({
      headers: { 'content-type': 'application/json' },
      chunks: [
        JSON.stringify({
          ...{ id: `resp-of-${upstream.name}`, object: 'response', status: 'completed' },
          output: [
            { type: 'message', id: `msg-of-${upstream.name}`, role: 'assistant', content: 'x' },
          ],
        }),
      ],
    }));
  });
  for (let i = 0; i < 20; i++) {
    const first = await ask(upstreams, `s-${i}`, {}, responses);
    const heldItemIds = [`msg-of-${first}`];
    expect(await ask(upstreams, 'another key', { heldItemIds }, responses)).toBe(first);
  }
});
