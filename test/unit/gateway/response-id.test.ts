import { createResponseId, readResponseId } from '../../../src/gateway/keys/response-id';
import { SIGNING_KEY } from './gateway-fixture';

const parts = {
  agent: 'desk',
  session: 'live/desk/Größe 7',
  isDecision: true,
  call: new Uint8Array(16).fill(9),
};
const id = createResponseId(SIGNING_KEY, parts);

describe('response ids', () => {
  test('say whose answer it was, without a lookup', () => {
    const { call, ...rest } = parts;
    expect(call).toHaveLength(16);
    expect(readResponseId(SIGNING_KEY, id)).toEqual(rest);
    const undecided = createResponseId(SIGNING_KEY, { ...parts, isDecision: false });
    expect(readResponseId(SIGNING_KEY, undecided)?.isDecision).toBe(false);
  });

  test('are the same for the same call and differ for another', () => {
    expect(createResponseId(SIGNING_KEY, parts)).toBe(id);
    const other = { ...parts, call: new Uint8Array(16).fill(8) };
    expect(createResponseId(SIGNING_KEY, other)).not.toBe(id);
  });

  test('begin as the protocol’s do, and are not those of another one', () => {
    const own = createResponseId(SIGNING_KEY, { ...parts, prefix: 'resp_' });
    expect(own).toMatch(/^resp_/);
    expect(readResponseId(SIGNING_KEY, own)?.session).toBe(parts.session);
    for (const prefix of ['chatcmpl-', 'msg_']) {
      expect(readResponseId(SIGNING_KEY, own.replace('resp_', prefix))).toBeNull();
    }
  });

  test('that were made up or changed anywhere are not ours', () => {
    for (let i = 'chatcmpl-'.length; i < id.length; i++) {
      const changed = id.slice(0, i) + (id[i] === 'A' ? 'B' : 'A') + id.slice(i + 1);
      expect(readResponseId(SIGNING_KEY, changed)).toBeNull();
    }
    for (const text of ['', 'chatcmpl-', 'chatcmpl-abc', `${id}A`, `${id}=`, id.slice(1)]) {
      expect(readResponseId(SIGNING_KEY, text)).toBeNull();
    }
    expect(readResponseId(new Uint8Array(32).fill(2), id)).toBeNull();
  });
});
