import fc from 'fast-check';
import type { Message } from '../../../src/schemas/message';
import { factsOf } from '../../../src/trajectories/call-facts';
import { essenceOf } from '../../../src/trajectories/essence';
import type { LiveDecision } from '../../../src/trajectories/read-live-decisions';
import type { Conversation, StitchOptions } from '../../../src/trajectories/stitch';
import { Stitcher } from '../../../src/trajectories/stitch';
import { assistant, decisionOf, ms, user } from './live-store';

const START = ms('10:00:00');
const MINUTE = 60_000;

interface Call {
  readonly id: string;
  readonly minute: number;
  readonly messages: readonly Message[];
  readonly answer?: Message;
  readonly alternatives?: readonly Message[];
  /** As the client names it. */
  readonly session?: string;
  readonly upstream?: object;
}

let unnamed = 0;
function live({
  id,
  minute,
  messages,
  answer = assistant(`answer ${id}`),
  ...rest
}: Call): LiveDecision {
  const hex = String(++unnamed).padStart(12, '0');
  const session = `live/desk/${rest.session ?? `call-00000000-0000-4000-8000-${hex}`}`;
  const upstream = { name: 'openai', model: 'gpt-5', responseId: `resp_${id}`, ...rest.upstream };
  const decision = decisionOf({
    ...{ session, messages, answer },
    decision: { id, at: new Date(START + minute * MINUTE).toISOString(), upstream },
  });
  return {
    ...{ agent: 'desk', session, decision, messages, answer, tools: null },
    ...{ alternatives: rest.alternatives ?? [], feedback: [], sessionFeedback: [] },
  };
}

function stitch(calls: readonly Call[], options: StitchOptions = {}): Conversation[] {
  const stitcher = new Stitcher(options);
  const conversations = calls.flatMap((call) => stitcher.add(factsOf(live(call))));
  return [...conversations, ...stitcher.end()];
}
const idsOf = (conversations: readonly Conversation[]): string[][] =>
  conversations.map(({ calls }) => calls.map(({ facts }) => facts.id));
const parentsOf = (conversations: readonly Conversation[]): Record<string, string | null> =>
  Object.fromEntries(
    conversations.flatMap(({ calls }) =>
      calls.map(({ facts, link }) => [facts.id, 'parent' in link ? link.parent : null]),
    ),
  );
const unconsumed = (conversations: readonly Conversation[]): string[] =>
  conversations.flatMap(({ calls }) =>
    calls.filter((call) => call.isUnconsumed).map(({ facts }) => facts.id),
  );

const first: Call = { id: 'a', minute: 0, messages: [user('hi')], answer: assistant('hello') };
const second: Call = {
  ...{ id: 'b', minute: 1 },
  messages: [user('hi'), assistant('hello'), user('where is my order?')],
};

describe('calls whose client names no session', () => {
  test('go on from the answer of ours that they hold', () => {
    const conversations = stitch([first, second]);
    expect(idsOf(conversations)).toEqual([['a', 'b']]);
    expect(conversations[0]?.calls[1]?.link).toEqual({ kind: 'answer', parent: 'a' });
  });

  test.each<[string, Message]>([
    ['as a list of parts', { role: 'assistant', content: [{ type: 'text', text: 'hello' }] }],
    ['with members of the client’s own', { ...assistant('hello'), refusal: null, provider: 1 }],
    ['with white space around it', assistant(' hello\n')],
    ['without its reasoning', { role: 'assistant', content: 'hello', tool_calls: null }],
  ])('know it when it comes back %s', (_, echoed) => {
    const messages = [user('hi'), echoed, user('and?')];
    expect(idsOf(stitch([first, { id: 'b', minute: 1, messages }]))).toEqual([['a', 'b']]);
  });

  test('know a tool call whose arguments were written anew', () => {
    const call = (text: string): Message => ({
      ...{ role: 'assistant', content: null },
      tool_calls: [{ id: 'c1', type: 'function', function: { name: 'look', arguments: text } }],
    });
    const result: Message = { role: 'tool', tool_call_id: 'c1', content: 'found' };
    const conversations = stitch([
      { ...first, answer: call('{"a":1,"b":2}') },
      { id: 'b', minute: 1, messages: [user('hi'), call('{ "b": 2, "a": 1 }'), result] },
    ]);
    expect(idsOf(conversations)).toEqual([['a', 'b']]);
  });

  test('go on though the instructions changed, which may hold the time of day', () => {
    const at = (time: string): Message => ({ role: 'system', content: `It is ${time}.` });
    const conversations = stitch([
      { ...first, messages: [at('10:00'), ...first.messages] },
      { ...second, messages: [at('10:01'), ...second.messages] },
    ]);
    expect(idsOf(conversations)).toEqual([['a', 'b']]);
  });

  test('go on from another choice than the first', () => {
    const messages = [user('hi'), assistant('servus'), user('?')];
    const calls = [
      { ...first, alternatives: [assistant('servus')] },
      { ...second, messages },
    ];
    expect(idsOf(stitch(calls))).toEqual([['a', 'b']]);
  });

  test('go on where a client sends only the end of the conversation', () => {
    const messages = [user('where is my order?'), assistant('answer b'), user('thanks')];
    const conversations = stitch([first, second, { id: 'c', minute: 2, messages }]);
    expect(idsOf(conversations)).toEqual([['a', 'b', 'c']]);
    expect(conversations[0]?.calls[2]?.link).toEqual({ kind: 'pair', parent: 'b' });
  });

  test('that hold what two were answered stay apart from both', () => {
    const conversations = stitch([first, { ...first, id: 'a2' }, second]);
    expect(idsOf(conversations)).toEqual([['a'], ['a2'], ['b']]);
    expect(conversations[2]?.calls[0]?.link).toEqual({ kind: 'ambiguous', candidates: 2 });
    const third = {
      ...{ id: 'c', minute: 2 },
      messages: [...second.messages, assistant('answer b'), user('thanks')],
    };
    expect(idsOf(stitch([first, { ...first, id: 'a2' }, second, third]))).toEqual([
      ...[['a'], ['a2'], ['b', 'c']],
    ]);
  });

  test('that hold an answer of nobody’s stay apart', () => {
    const messages = [user('hi'), assistant('made up'), user('and?')];
    expect(idsOf(stitch([first, { id: 'b', minute: 1, messages }]))).toEqual([['a'], ['b']]);
  });

  test.each([
    ['an upstream’s answer', { previousId: 'resp_a' }],
    ['our own answer', { previousId: 'a' }],
  ])('go on from %s that they name, whatever else they hold', (_, upstream) => {
    const conversations = stitch([
      first,
      { id: 'b', minute: 1, messages: [user('and?')], upstream },
    ]);
    expect(conversations[0]?.calls[1]?.link).toEqual({ kind: 'id', parent: 'a' });
  });

  test('go on from the last call of a conversation that the upstream holds', () => {
    const upstream = { conversationId: 'conv_1' };
    const said = (id: string, minute: number): Call => ({
      ...{ id, minute, upstream },
      messages: [user(id)],
    });
    const other = { ...said('x', 1), upstream: { conversationId: 'conv_2' } };
    const conversations = stitch([said('a', 0), other, said('b', 2), said('c', 3)]);
    expect(idsOf(conversations)).toEqual([['x'], ['a', 'b', 'c']]);
    expect(parentsOf(conversations)).toEqual({ a: null, b: 'a', c: 'b', x: null });
  });
});

describe('calls of a session that their client names', () => {
  test('are one conversation, and go on from nobody else’s answers', () => {
    const conversations = stitch([
      { ...first, session: 's' },
      { ...second, session: 't' },
      { ...second, id: 'c', minute: 2, session: 's' },
    ]);
    expect(idsOf(conversations)).toEqual([['b'], ['a', 'c']]);
  });

  test('have a branch for each sub-agent', () => {
    const sub: Message = { role: 'system', content: 'You look things up.' };
    const session = 's';
    const conversations = stitch([
      { ...first, session },
      { id: 'sub', minute: 1, messages: [sub, user('look it up')], session },
      { ...second, minute: 2, session },
      {
        ...{ id: 'sub2', minute: 3, session },
        messages: [sub, user('look it up'), assistant('answer sub'), user('more')],
      },
    ]);
    expect(parentsOf(conversations)).toEqual({ a: null, sub: null, b: 'a', sub2: 'sub' });
    expect(conversations).toHaveLength(1);
    expect(conversations[0]?.calls[1]?.link).toEqual({ kind: 'session' });
  });
});

describe('an answer that nobody went on from', () => {
  const session = 's';
  const again = { ...first, id: 'a2', minute: 1, answer: assistant('good day'), session };

  test('is unconsumed if its client asked again', () => {
    expect(unconsumed(stitch([{ ...first, session }, again]))).toEqual(['a']);
    expect(unconsumed(stitch([first]))).toEqual([]);
  });

  test('counts if it is the one that was gone on from, and the other does not', () => {
    const conversations = stitch([{ ...first, session }, again, { ...second, minute: 2, session }]);
    expect(parentsOf(conversations)).toMatchObject({ b: 'a' });
    expect(unconsumed(conversations)).toEqual(['a2']);
  });

  test('counts if the same was asked much later, or under other instructions', () => {
    expect(
      unconsumed(
        stitch([
          { ...first, session },
          { ...again, minute: 20 },
        ]),
      ),
    ).toEqual([]);
    const other = [{ role: 'system' as const, content: 'Be brief.' }, ...first.messages];
    expect(
      unconsumed(
        stitch([
          { ...first, session },
          { ...again, messages: other },
        ]),
      ),
    ).toEqual([]);
  });
});

describe('a conversation in which nothing happens', () => {
  test('is closed, and what goes on from it opens a linked one', () => {
    const stitcher = new Stitcher({ idleMs: 30 * MINUTE });
    const add = (call: Call): Conversation[] => stitcher.add(factsOf(live(call)));
    expect(add(first)).toEqual([]);
    expect(add({ id: 'x', minute: 30, messages: [user('x')] })).toEqual([]); // just in time
    expect(idsOf(add({ ...second, minute: 31 }))).toEqual([['a']]);
    const rest = stitcher.end();
    expect(idsOf(rest)).toEqual([['x'], ['b']]);
    const [, continuation] = rest;
    expect(continuation).toMatchObject({ calls: [{ link: { kind: 'answer', parent: 'a' } }] });
    expect(continuation?.id).toBe(`${continuation?.continues}~2`);
  });

  test('of a named session goes on as the next of it, again and again', () => {
    const calls = [0, 40, 80, 81].map((minute, i) => ({
      ...{ id: `c${i}`, minute, messages: [user(`m${i}`)], session: 's' },
    }));
    const conversations = stitch(calls);
    expect(conversations.map(({ id, continues }) => [id, continues])).toEqual([
      ['live/desk/s', null],
      ['live/desk/s~2', 'live/desk/s'],
      ['live/desk/s~3', 'live/desk/s~2'],
    ]);
    expect(idsOf(conversations)).toEqual([['c0'], ['c1'], ['c2', 'c3']]);
  });

  test('is forgotten in the end', () => {
    const later = { ...second, minute: 3 * 60 };
    expect(stitch([first, later], { rememberMs: 2 * 60 * MINUTE })[1]?.continues).toBeNull();
    expect(stitch([first, later], { rememberMs: 4 * 60 * MINUTE })[1]?.continues).not.toBeNull();
  });
});

/** Some clients that talk at the same time; each turn is one call. */
const clients = fc.array(
  fc.record({
    opening: fc.constantFrom('hi', 'help', 'refund please'),
    answers: fc.array(fc.constantFrom('yes', 'no', 'what is your order number?'), {
      minLength: 1,
      maxLength: 5,
    }),
  }),
  { minLength: 1, maxLength: 6 },
);
interface Scene {
  readonly calls: readonly (Call & { readonly client: number })[];
}
function scene(
  all: readonly { opening: string; answers: string[] }[],
  order: readonly number[],
  isUnique: boolean,
): Scene {
  const calls: (Call & { client: number })[] = [];
  const state = all.map(({ opening }) => ({ messages: [user(opening)], turn: 0 }));
  const step = (client: number): void => {
    const one = state[client];
    const text = all[client]?.answers[one?.turn ?? 0];
    if (one === undefined || text === undefined) return;
    const id = `${client}.${one.turn}`;
    const answer = assistant(isUnique ? `${text} (${id})` : text);
    calls.push({ id, client, minute: calls.length / 10, messages: one.messages, answer });
    one.messages = [...one.messages, answer, user(`go on ${one.turn}`)];
    one.turn++;
  };
  for (const index of order) step(index % all.length);
  for (let turn = 0; turn < 5; turn++) for (const client of all.keys()) step(client);
  return { calls };
}
const order = fc.array(fc.nat(100), { maxLength: 30 });
const FIXED = { seed: 20261125, numRuns: 300 };

describe('whatever clients say at the same time', () => {
  test('each finds its own conversation if no two answers are the same', () => {
    fc.assert(
      fc.property(clients, order, (all, turns) => {
        const { calls } = scene(all, turns, true);
        const found = idsOf(stitch(calls)).map((ids) => [...ids].sort().join());
        const expected = all.map(({ answers }, client) =>
          answers.map((_, turn) => `${client}.${turn}`).join(),
        );
        expect(found.sort()).toEqual(expected.sort());
      }),
      FIXED,
    );
  });

  test('no call is lost or doubled, and parents come before their children', () => {
    fc.assert(
      fc.property(clients, order, (all, turns) => {
        const { calls } = scene(all, turns, false);
        const conversations = stitch(calls);
        expect(idsOf(conversations).flat().sort()).toEqual(calls.map(({ id }) => id).sort());
        const position = new Map(calls.map(({ id }, i) => [id, i]));
        for (const [id, parent] of Object.entries(parentsOf(conversations))) {
          if (parent === null) continue;
          expect(position.get(parent)).toBeLessThan(position.get(id) as number);
        }
      }),
      FIXED,
    );
  });

  test('a call never goes on from an answer that is not in it', () => {
    fc.assert(
      fc.property(clients, order, (all, turns) => {
        const { calls } = scene(all, turns, false);
        const byId = new Map(calls.map((call) => [call.id, call]));
        for (const [id, parent] of Object.entries(parentsOf(stitch(calls)))) {
          const from = parent === null ? undefined : byId.get(parent);
          if (from === undefined) continue;
          const before = [...from.messages, from.answer as Message].map(essenceOf);
          const held = (byId.get(id)?.messages ?? []).map(essenceOf);
          expect(held.slice(0, before.length)).toEqual(before);
        }
      }),
      FIXED,
    );
  });

  test('calls of others change nothing for a client whose words nobody else says', () => {
    fc.assert(
      fc.property(clients, order, (all, turns) => {
        const { calls } = scene(all, turns, false);
        const mine = [first, second].map((call) => ({ ...call, minute: call.minute + 0.05 }));
        const mixed = [
          ...calls.filter(({ messages }) => messages[0]?.content !== 'hi'),
          ...mine,
        ].sort((a, b) => a.minute - b.minute);
        expect(parentsOf(stitch(mixed))).toMatchObject({ a: null, b: 'a' });
      }),
      FIXED,
    );
  });

  test('within a conversation nothing waits longer than it may be idle', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 100 }), { minLength: 1 }), (gaps) => {
        let minute = 0;
        const calls = gaps.map((gap, i) => {
          minute += gap;
          return { id: `c${i}`, minute, messages: [user(`m${i}`)], session: 's' };
        });
        for (const { calls: found } of stitch(calls, { idleMs: 30 * MINUTE })) {
          found.slice(1).forEach(({ facts }, i) => {
            const before = found[i]?.facts.atMs ?? 0;
            expect(facts.atMs - before).toBeLessThanOrEqual(30 * MINUTE);
          });
        }
      }),
      FIXED,
    );
  });
});
