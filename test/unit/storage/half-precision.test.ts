import {
  fromBfloat16,
  fromFloat16,
  toBfloat16,
  toFloat16,
} from '../../../src/storage/half-precision';

const EVERY = Uint16Array.from({ length: 65536 }, (_, bits) => bits);

test('every binary16 is read exactly, and written back as it was', () => {
  const values = fromFloat16(EVERY);
  expect(Array.from(values.slice(0x3c00, 0x3c02))).toEqual([1, 1 + 2 ** -10]);
  expect([values[0x0001], values[0x03ff], values[0x0400], values[0x7bff]]).toEqual([
    2 ** -24,
    1023 * 2 ** -24,
    2 ** -14,
    65504,
  ]);
  expect([values[0x7c00], values[0xfc00], values[0xc000]]).toEqual([Infinity, -Infinity, -2]);
  const back = toFloat16(values);
  const wrong = EVERY.filter((bits) => back[bits] !== (Number.isNaN(values[bits]) ? 0x7e00 : bits));
  expect(Array.from(wrong)).toEqual([]);
});

test('every bfloat16 is read exactly, and written back as it was', () => {
  const values = fromBfloat16(EVERY);
  expect([values[0x3f80], values[0xc000], values[0x7f80]]).toEqual([1, -2, Infinity]);
  const back = toBfloat16(values);
  const again = fromBfloat16(back);
  const wrong = EVERY.filter((bits) =>
    Number.isNaN(values[bits]) ? !Number.isNaN(again[bits]) : back[bits] !== bits,
  );
  expect(Array.from(wrong)).toEqual([]);
});

test('what lies between is rounded to the nearest, and on a tie to the even one', () => {
  const step = 2 ** -10; // of binary16 at 1
  expect(
    Array.from(toFloat16(Float32Array.of(1 + step / 2, 1 + 1.5 * step, 1 + 0.51 * step))),
  ).toEqual([0x3c00, 0x3c02, 0x3c01]);
  expect(
    Array.from(toFloat16(Float32Array.of(65519, 65520, 2 ** -25, 2 ** -25 * 1.01, -1e-9))),
  ).toEqual([0x7bff, 0x7c00, 0, 1, 0x8000]);
  const wide = 2 ** -7; // of bfloat16 at 1
  expect(Array.from(toBfloat16(Float32Array.of(1 + wide / 2, 1 + 1.5 * wide, 3.4e38)))).toEqual([
    0x3f80, 0x3f82, 0x7f80,
  ]);
});
