import { createSpoolRecorder } from '../../../src/gateway/recording/spool-recorder';
import type { Redaction } from '../../../src/gateway/recording/redaction';
import { NO_REDACTION } from '../../../src/gateway/recording/redaction';
import type { SpoolEntry } from '../../../src/gateway/recording/spool';
import { chat, createFixture } from './gateway-fixture';

const CHAT = '/v1/chat/completions';

/** Everything that is said becomes `hidden`. */
const hides: Redaction = {
  ...NO_REDACTION,
  call: ({ user, ...call }) => ({
    ...call,
    messages: new Map(
      Array.from(call.messages.keys(), (id) => [id, { role: 'user', content: 'hidden' }]),
    ),
    decision: { ...call.decision, ...(user === undefined ? {} : { user: 'hidden' }) },
  }),
  json: (_, value) =>
    JSON.parse(JSON.stringify(value).replaceAll('secret', 'hidden')) as typeof value,
  sessionName: (_, name) => name.replaceAll('secret', 'hidden'),
  user: () => 'hidden',
};

/** A spool that keeps what it was given as one text. */
function listeningSpool(): {
  readonly text: () => string;
  readonly append: (entry: SpoolEntry) => Promise<void>;
} {
  const texts: string[] = [];
  return {
    text: () => texts.join('\n'),
    async append({ text, parts }) {
      texts.push(text, ...Array.from(parts?.values() ?? [], (part) => part()));
    },
  };
}

describe('what is written of a live call', () => {
  test('was redacted: intents, messages, users and names of sessions', async () => {
    const spool = listeningSpool();
    const recorder = createSpoolRecorder({ spool: spool as never });
    const gateway = await createFixture({ recorder, redaction: hides });
    const key = await gateway.key({ role: 'agent', agent: 'desk' });
    const body = chat({ messages: [{ role: 'user', content: 'a secret' }], user: 'secret-user' });
    const reply = await gateway.post(CHAT, key, body);
    expect(reply.status).toBe(200);
    expect(spool.text()).not.toContain('secret');
    expect(spool.text()).toContain('"user":"hidden"');
    expect(spool.text()).toContain('"session":"live/desk/hidden-user"');
    // The id of an answer says which session it is of, in base64: it must not say more than the spool does.
    const said = Buffer.from(String(reply.body.id).slice('chatcmpl-'.length), 'base64url').toString(
      'latin1',
    );
    expect(said).toContain('desk live/desk/hidden-user');
  });

  test('is nothing where redaction fails: the call is answered, and says that it was not recorded', async () => {
    const spool = listeningSpool();
    const recorder = createSpoolRecorder({ spool: spool as never });
    const redaction: Redaction = {
      ...NO_REDACTION,
      call: () => {
        throw new RangeError('redaction is broken');
      },
    };
    const gateway = await createFixture({ recorder, redaction });
    const key = await gateway.key({ role: 'agent', agent: 'desk' });
    const reply = await gateway.post(CHAT, key, chat());
    expect(reply.status).toBe(200);
    expect(reply.headers.get('x-ratchet-recorded')).toBe('false');
    expect(spool.text()).not.toContain('money back');
  });
});

describe('feedback', () => {
  test('is redacted, and finds the session by the name that the agent has for it', async () => {
    const gateway = await createFixture({ redaction: hides });
    const agent = await gateway.key({ role: 'agent', agent: 'desk' });
    const scorer = await gateway.key({ role: 'scorer' });
    const given = { value: true, comment: 'a secret comment', id: 'secret-1' };
    const byAgent = await gateway.post('/v1/feedback', agent, {
      ...given,
      session: 'secret-session',
    });
    const byScorer = await gateway.post('/v1/feedback', scorer, {
      ...given,
      session: 'live/desk/secret-session',
    });
    for (const { status, body } of [byAgent, byScorer]) {
      expect(status).toBe(200);
      expect(body).toMatchObject({
        trajectory: 'live/desk/hidden-session',
        comment: 'a hidden comment',
      });
      expect(JSON.stringify(body)).not.toContain('secret');
    }
  });

  test('names an upstream’s answer as its decision does, whatever its id looks like', async () => {
    const gateway = await createFixture({ redaction: hides });
    const agent = await gateway.key({ role: 'agent', agent: 'desk' });
    const { status, body } = await gateway.post('/v1/feedback', agent, {
      response_id: 'chatcmpl-secret',
      value: true,
      comment: 'a secret comment',
    });
    expect(status).toBe(200);
    expect(body).toMatchObject({
      trajectory: 'answers/desk/chatcmpl-secret',
      comment: 'a hidden comment',
    });
  });
});
