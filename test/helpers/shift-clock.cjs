// Preload (node --require): as long as the file SHIFT_CLOCK_FILE exists, the wall clock of this process, and of the threads that it
// starts, is off by as many milliseconds as the file says. Monotonic clocks are not: no administrator can set those.
const { readFileSync } = require('node:fs');

const file = process.env.SHIFT_CLOCK_FILE;
const real = Date.now.bind(Date);
const RealDate = Date;
let shift = 0;
let readAt = 0;

function now() {
  const at = real();
  if (file !== undefined && Math.abs(at - readAt) > 20) {
    readAt = at;
    try {
      shift = Number(readFileSync(file, 'utf8')) || 0;
    } catch {
      shift = 0; // no file, no shift
    }
  }
  return at + shift;
}

globalThis.Date = class extends RealDate {
  constructor(...args) {
    if (args.length === 0) super(now());
    else super(...args);
  }
  static now() {
    return now();
  }
};
