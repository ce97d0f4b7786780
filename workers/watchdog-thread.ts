import { writeSync } from 'node:fs';
import { workerData } from 'node:worker_threads';
import type { WatchdogJob } from './watchdog';

// The thread of startWatchdog. It shares nothing with the main thread but a number, so that whatever blocks that one leaves it alone.

const { turns, everyMs, patience } = workerData as WatchdogJob;
const counter = new Int32Array(turns);
let seen = Atomics.load(counter, 0);
let looks = 0;

setInterval(() => {
  const now = Atomics.load(counter, 0);
  looks = now === seen ? looks + 1 : 0;
  seen = now;
  if (looks < patience) return;
  // Not through process.stderr: a thread's output goes through the main thread, which is blocked.
  writeSync(
    2,
    `the main thread has not turned for ${Math.round((patience * everyMs) / 1_000)} s: an agent or scorer that never yields blocks it; run it as a process of its own. This worker ends itself.\n`,
  );
  process.kill(process.pid, 'SIGKILL');
}, everyMs);
