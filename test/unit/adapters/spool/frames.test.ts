import { encodeFrame, HEADER_BYTES, scanFrames } from '../../../../src/adapters/spool/frames';

const TEXTS = ['first', '', 'a third one: ü', 'x'.repeat(300)];
const frames = TEXTS.map((text) => encodeFrame('entry', text));
const whole = Buffer.concat(frames);
const starts = frames.map((_, i) => Buffer.concat(frames.slice(0, i)).length);

const textsOf = (bytes: Buffer): string[] =>
  scanFrames(bytes).frames.map(({ payload }) => payload.toString());

test('what was written is read, in order', () => {
  expect(textsOf(whole)).toEqual(TEXTS);
  expect(scanFrames(whole)).toMatchObject({ damaged: [], torn: null });
  expect(scanFrames(Buffer.alloc(0))).toEqual({ frames: [], damaged: [], torn: null });
});

test('a file cut at any byte gives every record before the cut, and the rest is torn, not damaged', () => {
  for (let length = 0; length < whole.length; length++) {
    const complete = starts.filter((start, i) => start + (frames[i]?.length ?? 0) <= length).length;
    const { torn, damaged } = scanFrames(whole.subarray(0, length));
    expect(textsOf(whole.subarray(0, length))).toEqual(TEXTS.slice(0, complete));
    const from = starts[complete] ?? 0;
    expect({ torn, damaged }).toEqual({
      torn: from === length ? null : { from, to: length },
      damaged: [],
    });
  }
});

test('a flipped bit costs the record that it is in, and no other; it is never taken for a cut', () => {
  for (let at = 0; at < whole.length; at++) {
    for (const bit of [0, 3, 7]) {
      const bytes = Buffer.from(whole);
      bytes.writeUInt8(bytes.readUInt8(at) ^ (1 << bit), at);
      const hit = starts.findLastIndex((start) => start <= at);
      const { torn, damaged } = scanFrames(bytes);
      expect(textsOf(bytes)).toEqual(TEXTS.filter((_, i) => i !== hit));
      expect({ torn, damaged }).toEqual({
        torn: null,
        damaged: [{ from: starts[hit], to: starts[hit + 1] ?? whole.length }],
      });
    }
  }
});

test('zeros at the end are what a power failure leaves', () => {
  const bytes = Buffer.concat([whole, Buffer.alloc(5_000)]);
  expect(scanFrames(bytes)).toMatchObject({
    damaged: [],
    torn: { from: whole.length, to: bytes.length },
  });
});

test('a record within the text of another one is not taken for one', () => {
  const inner = encodeFrame('entry', 'inner').toString('latin1');
  const bytes = encodeFrame('entry', JSON.stringify(inner));
  bytes.writeUInt8(0, HEADER_BYTES); // so that its text is searched for the next record
  expect(scanFrames(bytes).frames).toEqual([]);
});
