import { percent, rate } from '../../src/loop/markdown';
import type { RunStatus } from '../../src/loop/run-state';

/** What an activity that runs says of itself, from its last heartbeat. */
export interface StageProgress {
  readonly done: number;
  readonly of: number;
}

export interface ProgressStream {
  readonly isTTY?: boolean;
  write(text: string): unknown;
}

export interface ProgressView {
  show(status: RunStatus, stage: StageProgress | null): void;
  /** Prints a line that stays. */
  say(line: string): void;
}

const BAR_CELLS = 24;
const SILENT_LINE_EVERY_MS = 15_000;

const bar = (share: number): string => {
  const full = Math.round(BAR_CELLS * Math.min(1, Math.max(0, share)));
  return '█'.repeat(full) + '░'.repeat(BAR_CELLS - full);
};

const clock = (ms: number): string => {
  const seconds = Math.max(0, Math.round(ms / 1000));
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}`;
};

/**
 * Progress for a terminal: finished iterations as lines that stay, the running stage as one line that is overwritten. Where
 * standard error is no terminal, the running stage is printed now and then instead.
 */
export function createProgressView(
  stream: ProgressStream,
  now: () => number = Date.now,
): ProgressView {
  let printed = -1; // iterations whose line was printed
  let lastLine = '';
  let lastSilent = 0;
  const isTerminal = stream.isTTY === true;
  const clear = isTerminal ? '\r\u001b[2K' : '';

  const say = (line: string): void => {
    stream.write(`${clear}${line}\n`);
    lastLine = '';
  };

  return {
    say,
    show(status, stage) {
      if (printed < 0 && status.baseSelect !== null) {
        say(`  base policy      held out ${rate(status.baseSelect)}`);
        printed = 0;
      }
      for (const point of status.points) {
        if (point.iteration <= printed) continue;
        say(
          `  iteration ${String(point.iteration).padStart(2)}/${status.of}  live ${rate(point.reward)}` +
            `   held out ${rate(point.select)}` +
            (point.dropped === 0 ? '' : `   dropped ${percent(point.dropped / point.rollouts)}`),
        );
        printed = point.iteration;
      }
      const line = running(status, stage, now());
      if (isTerminal) {
        if (line !== lastLine) stream.write(`${clear}${line}`);
        lastLine = line;
      } else if (now() - lastSilent > SILENT_LINE_EVERY_MS) {
        stream.write(`${line}\n`);
        lastSilent = now();
      }
    },
  };
}

function running(status: RunStatus, stage: StageProgress | null, nowMs: number): string {
  const elapsed = nowMs - Date.parse(status.startedAt);
  const share = stage === null || stage.of === 0 ? 0 : stage.done / stage.of;
  const what =
    'iteration' in status.phase
      ? `${status.phase.kind} ${status.phase.iteration + 1}/${status.of}`
      : status.phase.kind;
  const left =
    status.iterations === 0 || !('iteration' in status.phase)
      ? ''
      : `  ETA ${clock((elapsed / status.iterations) * (status.of - status.iterations))}`;
  const count = stage === null || stage.of === 0 ? '' : ` ${stage.done}/${stage.of}`;
  return `  ${bar(share)} ${what}${count}  ${clock(elapsed)} elapsed${left}`;
}
