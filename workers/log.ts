import type { Logger, LogLevel, LogMetadata } from '@temporalio/common'; // types: a gateway loads nothing of Temporal for its log
import { describeError } from '../src/errors';
import type { LogSettings } from './env';

/** A value of a log line. Objects are not logged: nobody knows what is in them. */
type Scalar = string | number | boolean;
export type LogFields = Readonly<Record<string, Scalar | undefined>>;

export interface Log {
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
  /** For the SDK's Runtime: what workers, activities, workflows and Temporal's core say. */
  readonly sdk: Logger;
}

const SEVERITIES: readonly LogLevel[] = ['TRACE', 'DEBUG', 'INFO', 'WARN', 'ERROR'];
/** Under which the SDK hands on when a line was said, in nanoseconds since 1970: Temporal's core says its own later. */
const SAID_AT = Symbol.for('log_timestamp');

/** How the SDK calls what we call otherwise. */
const RENAMED: Readonly<Record<string, string>> = {
  workflowRunId: 'runId',
  sdkComponent: 'component',
};
/** Says nothing to anybody. */
const LEFT_OUT = new Set(['isLocal']);
/** What the SDK thinks is worth a warning and is how our workers are meant to be: only shown with everything else. */
const BY_DESIGN = /^No (?:workflows|Nexus services) registered/;
/** Never logged: keys, and names under which somebody's project might log one. A task token completes an activity. */
const SECRET = /token|secret|password|authorization|credential|api_?key|cookie/i;
/** Bodies of requests and prompts end up in error messages; a line that is longer tells no more. */
const MAX_CHARS = 2_000;
/** Whatever wrote it, a key does not leave by the log: bearer tokens, our own keys and session tokens, OpenAI's, AWS's. */
const KEYS = /\b(?:Bearer\s+\S+|(?:rks?|sk|pk)-[A-Za-z0-9._-]{12,}|AKIA[A-Z0-9]{12,})/g;

/**
 * What agents call their sessions and models ends up in messages: none of it may begin a line of its own, colour a terminal, clear it, or
 * turn the order of what is read. JSON.stringify leaves all but the first 32 as they are.
 */
const UNSEEN = /[\p{Cc}\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu;
const escape = (character: string): string =>
  `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;

const clip = (text: string): string =>
  (text.length <= MAX_CHARS ? text : `${text.slice(0, MAX_CHARS)}…`).replaceAll(KEYS, '[key]');

function toScalar(value: unknown): Scalar | undefined {
  if (value instanceof Error) return clip(describeError(value));
  if (typeof value === 'string') return clip(value);
  if (typeof value === 'number' || typeof value === 'boolean') return value;
  if (typeof value === 'bigint') return Number(value);
  return undefined;
}

/** The fields of a line as they may be written. */
export function loggable(meta: Readonly<Record<string, unknown>>): LogFields {
  const fields: Record<string, Scalar | undefined> = {};
  for (const [name, value] of Object.entries(meta)) {
    if (SECRET.test(name) || LEFT_OUT.has(name)) continue;
    fields[RENAMED[name] ?? name] = toScalar(value);
  }
  return fields;
}

/**
 * One writer for everything that a process says: one object per line on stderr, or lines for people. stdout is for the
 * results of commands.
 *
 * @param base fields of every line, e.g. the process's role.
 */
export function createLog(
  { format, level }: LogSettings,
  base: LogFields,
  write: (line: string) => void = (line) => void process.stderr.write(`${line}\n`),
): Log {
  const emit = (at: LogLevel, message: string, meta: LogMetadata = {}): void => {
    if (SEVERITIES.indexOf(at) < SEVERITIES.indexOf(level.toUpperCase() as LogLevel)) return;
    if (BY_DESIGN.test(message) && level !== 'debug') return;
    const saidAt = meta[SAID_AT] as bigint | undefined;
    const ms = saidAt === undefined ? Date.now() : Number(saidAt / 1_000_000n);
    const time = new Date(ms).toISOString();
    const fields = { ...base, ...loggable(meta) };
    if (format === 'json') {
      const line = JSON.stringify({
        time,
        level: at.toLowerCase(),
        message: clip(message),
        ...fields,
      });
      write(line.replaceAll(UNSEEN, escape));
      return;
    }
    const shown = Object.entries(fields)
      .filter(([, value]) => value !== undefined)
      .map(([name, value]) => `${name}=${String(value)}`);
    const line = [time, at, clip(message), ...shown].join(' ');
    write(line.replaceAll(/\s*[\r\n]\s*/g, ' ').replaceAll(UNSEEN, escape));
  };
  return {
    debug: (message, fields) => emit('DEBUG', message, fields),
    info: (message, fields) => emit('INFO', message, fields),
    warn: (message, fields) => emit('WARN', message, fields),
    error: (message, fields) => emit('ERROR', message, fields),
    sdk: {
      log: emit,
      trace: (message, meta) => emit('TRACE', message, meta),
      debug: (message, meta) => emit('DEBUG', message, meta),
      info: (message, meta) => emit('INFO', message, meta),
      warn: (message, meta) => emit('WARN', message, meta),
      error: (message, meta) => emit('ERROR', message, meta),
    },
  };
}
