import { TransientError } from '../../../src/errors';
import { createLog, loggable, type Log } from '../../../workers/log';
import type { LogSettings } from '../../../workers/env';

function openLog(settings: Partial<LogSettings> = {}): { log: Log; lines: string[] } {
  const lines: string[] = [];
  const log = createLog(
    { format: 'json', level: 'info', ...settings },
    { role: 'rollout' },
    (line) => lines.push(line),
  );
  return { log, lines };
}

describe('a log', () => {
  it('writes one JSON object per line, whatever the message', () => {
    const { log, lines } = openLog();
    log.info('two\nlines "quoted"', { run: 'desk-1.abc', iteration: 2 });
    expect(lines).toHaveLength(1);
    expect(lines[0]).not.toContain('\n');
    expect(JSON.parse(lines[0] ?? '')).toEqual({
      time: expect.stringMatching(/Z$/) as string,
      ...{ level: 'info', message: 'two\nlines "quoted"', role: 'rollout' },
      ...{ run: 'desk-1.abc', iteration: 2 },
    });
  });

  it('writes for people in one line, too', () => {
    const { log, lines } = openLog({ format: 'text' });
    log.warn('the store\nis slow', { seconds: 3 });
    expect(lines).toEqual([
      expect.stringMatching(/^\S+Z WARN the store is slow role=rollout seconds=3$/),
    ]);
  });

  it('leaves out what is below its level', () => {
    const { log, lines } = openLog({ level: 'warn' });
    log.debug('a');
    log.info('b');
    log.warn('c');
    log.error('d');
    expect(lines.map((line) => (JSON.parse(line) as { message: string }).message)).toEqual([
      'c',
      'd',
    ]);
  });

  it('leaves out the SDK’s warnings about what is by design, unless everything is shown', () => {
    const message = 'No workflows registered, not polling for workflow tasks';
    const { log, lines } = openLog();
    log.sdk.warn(message);
    expect(lines).toEqual([]);
    const all = openLog({ level: 'debug' });
    all.log.sdk.warn(message);
    expect(all.lines).toHaveLength(1);
  });

  it('names the SDK’s ids as ours and an error by its message and causes', () => {
    const cause = new Error('ECONNRESET');
    expect(
      loggable({
        ...{ workflowRunId: 'abc', sdkComponent: 'worker', attempt: 2, isLocal: false },
        error: new TransientError('the store did not answer', { cause }),
      }),
    ).toEqual({
      ...{ runId: 'abc', component: 'worker', attempt: 2 },
      error: 'the store did not answer: caused by ECONNRESET',
    });
  });

  it('never holds keys, objects or long texts', () => {
    const { log, lines } = openLog();
    const key = 'rks-abcdefghijklmnop.qrstuvwxyz0123456789';
    log.sdk.error(`401 for Bearer abc.def with ${key}`, {
      ...{ taskToken: 'dG9rZW4', apiKey: key, password: 'p', body: { messages: ['hello'] } },
      ...{ error: new Error(`refused: ${key}`), detail: 'x'.repeat(10_000) },
    });
    const [line = ''] = lines;
    expect(line.length).toBeLessThan(2_500);
    for (const secret of ['dG9rZW4', 'abcdefghijklmnop', 'abc.def', 'hello', '"p"']) {
      expect(line).not.toContain(secret);
    }
    expect(line).toContain('refused: [key]');
  });

  test.each(['text', 'json'] as const)(
    'is one line of visible characters whatever agents call their sessions: %s',
    (format) => {
      const { log, lines } = openLog({ format });
      const name = 'a\r\n2026 ERROR forged\x1b[2J\x9b31m\u2028\u202eright\0\x7f';
      log.warn(`session ${name} broke off`, { session: name, error: new Error(name).message });
      expect(lines).toHaveLength(1);
      expect(lines[0]).toMatch(/^[^\p{Cc}\u2028\u202e]*$/u);
      expect(lines[0]).toContain('\\u009b31m');
      if (format === 'json') expect(JSON.parse(lines[0] ?? '')).toMatchObject({ session: name });
    },
  );
});
