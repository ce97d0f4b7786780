import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { describeError } from '../../errors';
import type {
  AgentExit,
  AgentInvocation,
  AgentRunner,
  AgentSpec,
  RunOptions,
} from '../../ports/agent-runner';
import { crashed, MAX_RESULT_BYTES, returned } from './agent-exit';
import { killAtExit } from './kill-at-exit';
import { createOutputTail, lastLine, type OutputTail } from './output-tail';
import { createStopWatch, withResolver } from './stop-watch';
import { createTrackedRunner } from './tracked-runner';

type ProcessSpec = Extract<AgentSpec, { kind: 'process' }>;

export interface ProcessRunnerOptions {
  /** Between SIGTERM and SIGKILL, in milliseconds. */
  readonly graceMs?: number;
}

/** How much of stderr goes into a crash's detail, in characters. */
const DETAIL_CHARS = 2000;
/** How long a pipe may stay open after everybody in the process group was killed, in milliseconds. */
const PIPE_GRACE_MS = 1000;

/**
 * Runs an agent, of any language, as a process of its own per attempt.
 *
 * - In: `{input, model, idempotencyKey}` as one line of JSON on stdin; OPENAI_BASE_URL, OPENAI_API_KEY and OPENAI_MODEL in
 *   its environment, besides PATH, HOME and what the spec adds.
 * - Out: exit code 0 and the result, the last line of stdout that is not empty, as JSON of at most 1 MiB. Anything may be
 *   printed before it; stderr is free. Of both only the end is kept.
 *
 * The process leads a process group. At the deadline, and when cancelled, the group gets SIGTERM and after `graceMs` SIGKILL;
 * whatever is left of it once its leader ended gets SIGKILL, too, so grandchildren go with their agent. One that moves
 * itself into another session escapes. POSIX only: Windows knows no process groups.
 */
export function createProcessRunner(
  spec: ProcessSpec,
  { graceMs = 500 }: ProcessRunnerOptions = {},
): AgentRunner {
  async function execute(
    invocation: AgentInvocation,
    { timeoutMs }: RunOptions,
    signals: readonly AbortSignal[],
  ): Promise<AgentExit> {
    const child = start(spec, invocation);
    if ('kind' in child) return child;
    const watch = createStopWatch(timeoutMs, signals);
    const ended = follow(child, spec, invocation);
    const forget = child.pid === undefined ? () => undefined : killAtExit(child.pid);
    let killTimer: NodeJS.Timeout | undefined;
    try {
      const stopped = watch.stopped.then((exit) => ({ stop: exit }));
      const first = await Promise.race([ended, stopped]);
      if (!('stop' in first)) return first;
      signalGroup(child, 'SIGTERM');
      killTimer = setTimeout(() => signalGroup(child, 'SIGKILL'), graceMs);
      await ended;
      return first.stop;
    } finally {
      clearTimeout(killTimer);
      forget();
      watch.dispose();
    }
  }

  return createTrackedRunner(execute);
}

function start(
  { command: [program, ...args], cwd, env }: ProcessSpec,
  { baseUrl, apiKey, model }: AgentInvocation,
): ChildProcessWithoutNullStreams | Extract<AgentExit, { kind: 'crashed' }> {
  const { PATH, HOME } = process.env;
  try {
    return spawn(program, args, {
      ...(cwd === undefined ? {} : { cwd }),
      env: {
        ...(PATH === undefined ? {} : { PATH }),
        ...(HOME === undefined ? {} : { HOME }),
        ...env,
        OPENAI_BASE_URL: baseUrl,
        OPENAI_API_KEY: apiKey,
        OPENAI_MODEL: model,
      },
      detached: true, // a process group of its own
      stdio: 'pipe',
    });
  } catch (error) {
    return notStarted(program, error); // arguments that no program can have
  }
}

/** Feeds the agent and reads it to its end. Resolves when the agent and its process group are gone; never rejects. */
async function follow(
  child: ChildProcessWithoutNullStreams,
  { command: [program] }: ProcessSpec,
  { input, model, idempotencyKey, apiKey }: AgentInvocation,
): Promise<AgentExit> {
  const { promise, resolve } = withResolver<AgentExit>();
  child.on('error', (error) => resolve(notStarted(program, error)));
  if (child.pid === undefined) return promise; // and where the machine is out of processes or files there are no pipes either

  const stdout = createOutputTail(MAX_RESULT_BYTES + 3); // and the line breaks around it: \n before, up to \r\n after
  const stderr = createOutputTail(DETAIL_CHARS * 4); // up to four bytes a character
  child.stdout.on('data', (chunk: Buffer) => stdout.push(chunk));
  child.stderr.on('data', (chunk: Buffer) => stderr.push(chunk));
  let pipeTimer: NodeJS.Timeout | undefined;
  child.on('exit', () => {
    signalGroup(child, 'SIGKILL');
    // 'close' waits for the pipes' last writer, and a process that escaped the group may hold one for ever.
    pipeTimer = setTimeout(() => {
      child.stdout.destroy();
      child.stderr.destroy();
    }, PIPE_GRACE_MS);
  });
  child.on('close', (code, signal) => {
    if (code === 0) return resolve(parseResult(stdout));
    const how = code === null ? `was killed by ${signal}` : `exited with code ${code}`;
    const said = stderr.bytes().toString('utf8').replaceAll(apiKey, '[api key]').trim();
    resolve(
      crashed(said === '' ? `the agent ${how}` : `the agent ${how}: ${said.slice(-DETAIL_CHARS)}`),
    );
  });
  child.stdin.on('error', () => undefined); // EPIPE: an agent need not read its input
  child.stdin.end(`${JSON.stringify({ input, model, idempotencyKey })}\n`);
  const exit = await promise;
  clearTimeout(pipeTimer);
  return exit;
}

function parseResult(stdout: OutputTail): AgentExit {
  const line = lastLine(stdout);
  if (line === null) {
    return crashed(
      stdout.isTruncated
        ? `the agent's result is too long: expected a last line of at most ${MAX_RESULT_BYTES} bytes on stdout`
        : 'the agent printed no result: expected JSON as the last line of stdout, got nothing',
    );
  }
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    // What an agent prints is an exit, never an error of the runner; the line says more than the parser.
    return crashed(
      `the agent's result is not JSON: expected it as the last line of stdout, got ${JSON.stringify(line.slice(0, 200))}`,
    );
  }
  return returned(value);
}

function notStarted(program: string, error: unknown): Extract<AgentExit, { kind: 'crashed' }> {
  return crashed(
    `the agent's program could not be started [command=${program}]: ${describeError(error)}; check that it is installed, on PATH, and that its folder exists`,
  );
}

/** Signals the agent's whole process group. */
function signalGroup({ pid }: ChildProcessWithoutNullStreams, signal: NodeJS.Signals): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, signal);
  } catch {
    // ESRCH: nobody is left in the group (on macOS EPERM: only zombies), which is what was wanted.
  }
}
