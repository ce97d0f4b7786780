import type { RunStatus } from '../../../src/loop/run-state';
import { createProgressView } from '../../../workers/demo/progress-view';
import { estimate, point, runStatus } from '../loop/run-views';

const START = Date.parse('2026-11-24T08:00:00.000Z');

/** A view onto a stream that keeps what is written, with a clock to set. */
function view(isTTY: boolean) {
  const written: string[] = [];
  const clock = { ms: START };
  const stream = { isTTY, write: (text: string) => written.push(text) };
  const progress = createProgressView(stream, () => clock.ms);
  return { progress, written, clock };
}

/** What a terminal shows in the end: carriage returns overwrite, and the escape sequence clears the line. */
function screenOf(written: readonly string[]): string[] {
  return written
    .join('')
    .split('\n')
    .map((line) => line.slice(line.lastIndexOf('\u001b[2K') + 1).replace('[2K', ''));
}

const training = (iterations: number, rest: Partial<RunStatus> = {}): RunStatus =>
  runStatus({
    phase: { kind: 'training', iteration: iterations },
    iterations,
    points: Array.from({ length: iterations }, (_, index) => point(index + 1)),
    baseSelect: estimate(0.68),
    ...rest,
  });

describe.each([true, false])('progress on a stream with isTTY %j', (isTTY) => {
  const finished = (written: readonly string[]): string[] =>
    screenOf(written).filter((line) => /^ {2}(base|iteration)/.test(line));

  it('prints the base policy and each finished iteration once', () => {
    const { progress, written } = view(isTTY);
    for (const iterations of [0, 0, 1, 1, 1, 3, 3])
      progress.show(training(iterations), { done: iterations, of: 10 });
    expect(finished(written)).toEqual([
      '  base policy      held out 68.0 % (67.0–69.0)',
      '  iteration  1/8  live 70.0 % (69.0–71.0)   held out 75.0 % (74.0–76.0)',
      '  iteration  2/8  live 70.0 % (69.0–71.0)   held out 75.0 % (74.0–76.0)',
      '  iteration  3/8  live 70.0 % (69.0–71.0)   held out 75.0 % (74.0–76.0)',
    ]);
  });

  it('says what was dropped and what was not measured', () => {
    const { progress, written } = view(isTTY);
    const points = [point(1, { dropped: 20, select: null })];
    progress.show(training(1, { points, baseSelect: null }), null);
    expect(finished(written)).toEqual([
      '  iteration  1/8  live 70.0 % (69.0–71.0)   held out –   dropped 2.0 %',
    ]);
  });

  it('does not repeat a line when older points were thinned out', () => {
    const { progress, written } = view(isTTY);
    progress.show(training(3), null);
    progress.show(training(3, { points: [point(1), point(3)] }), null);
    expect(finished(written)).toHaveLength(4);
  });

  it('says a line that stays', () => {
    const { progress, written } = view(isTTY);
    progress.show(training(0), { done: 1, of: 10 });
    progress.say('the Temporal UI is at http://localhost:8233');
    expect(screenOf(written)).toContain('the Temporal UI is at http://localhost:8233');
  });

  it('shows stage, share, time and what is left', () => {
    const { progress, written, clock } = view(isTTY);
    clock.ms = START + 60_000;
    progress.show(training(2), { done: 5, of: 10 });
    expect(screenOf(written).join('\n')).toContain(
      `  ${'█'.repeat(12)}${'░'.repeat(12)} training 3/8 5/10  1:00 elapsed  ETA 3:00`,
    );
  });
});

describe('progress on a terminal', () => {
  it('overwrites the running line, and writes nothing when nothing changed', () => {
    const { progress, written } = view(true);
    for (const done of [1, 1, 2, 3]) progress.show(training(0), { done, of: 4 });
    expect(written).toHaveLength(1 + 3); // the base policy, three states
    expect(screenOf(written).at(-1)).toContain('training 1/8 3/4');
    expect(screenOf(written)).toHaveLength(2);
  });
});

describe('progress into a file', () => {
  it('tells the running stage now and then', () => {
    const { progress, written, clock } = view(false);
    for (let second = 0; second < 60; second += 1) {
      clock.ms = START + second * 1_000;
      progress.show(training(0), { done: second, of: 60 });
    }
    const running = written.filter((line) => line.includes('elapsed'));
    expect(running.length).toBeGreaterThanOrEqual(3);
    expect(running.length).toBeLessThanOrEqual(5);
    expect(written.join('')).not.toContain('\u001b');
  });
});
