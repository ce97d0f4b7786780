import { spawnSync } from 'node:child_process';
import { distPath } from '../../src/adapters/dist-path';

/** A process of its own, which a watchdog of little patience watches over. */
function watched(code: string): { signal: string | null; status: number | null; stderr: string } {
  const script = `
    const { startWatchdog } = require(${JSON.stringify(distPath('workers/watchdog.js'))});
    const block = (ms) => { for (const end = Date.now() + ms; Date.now() < end; ); };
    const watchdog = startWatchdog({ blockedMs: 1500, everyMs: 100 });
    ${code}
  `;
  return spawnSync(process.execPath, ['-e', script], { encoding: 'utf8', timeout: 30_000 });
}

describe('a watchdog', () => {
  it('ends a process whose main thread never turns, and says why', () => {
    const { signal, stderr } = watched('setTimeout(() => block(25_000), 300);');
    expect(signal).toBe('SIGKILL');
    expect(stderr).toMatch(/has not turned for 2 s/);
  });

  it('leaves one alone that is busy, however long, as long as it turns', () => {
    const { status, stderr } = watched(`
      let rounds = 0;
      const work = () => { block(300); if (++rounds < 8) setImmediate(work); else void watchdog.stop(); };
      setTimeout(work, 100);
    `);
    expect([status, stderr]).toEqual([0, '']);
  });

  it('keeps no process alive that has nothing else to do', () => {
    expect(watched('')).toMatchObject({ status: 0, stderr: '' });
  });
});
