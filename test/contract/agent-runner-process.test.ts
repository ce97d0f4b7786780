import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { distPath } from '../../src/adapters/dist-path';
import { createProcessRunner } from '../../src/adapters/agents/process-runner';
import type { AgentExit } from '../../src/ports/agent-runner';
import type { Json } from '../../src/schemas/json';
import { agentRunnerContract, invocation, textWith } from './agent-runner.contract';

const SCRIPT = join(__dirname, '..', 'helpers', 'agents', 'behaving-agent.cjs');
const commandOf = (behaviour: string): [string, ...string[]] => [
  process.execPath,
  SCRIPT,
  behaviour,
];

agentRunnerContract('process', (behaviour) =>
  createProcessRunner({ kind: 'process', command: commandOf(behaviour) }, { graceMs: 100 }),
);

describe('a process runner', () => {
  const run = (
    command: [string, ...string[]],
    {
      input = null,
      timeoutMs = 20_000,
      ...spec
    }: {
      input?: Json;
      timeoutMs?: number;
      cwd?: string;
      env?: Readonly<Record<string, string>>;
    } = {},
  ): Promise<AgentExit> =>
    createProcessRunner({ kind: 'process', command, ...spec }, { graceMs: 100 }).run(
      { ...invocation, input },
      { timeoutMs, signal: new AbortController().signal },
    );

  it('kills a grandchild that ignores SIGTERM with its agent at the deadline', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'agent-runner-'));
    const pidFile = join(folder, 'pid');
    try {
      const exit = await run(commandOf('hangsWithGrandchild'), {
        input: { pidFile },
        timeoutMs: 3000,
      });
      expect(exit.kind).toBe('timedOut');
      await expectGone(Number(readFileSync(pidFile, 'utf8')));
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it('kills its agents when its own process exits', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'agent-runner-'));
    const pidFile = join(folder, 'pid');
    try {
      // A process that runs an agent and exits once the agent's child is up.
      const script = `
        const { existsSync, readFileSync } = require('node:fs');
        const { createProcessRunner } = require(${JSON.stringify(distPath('src/adapters/agents/process-runner.js'))});
        const command = ${JSON.stringify(commandOf('hangsWithGrandchild'))};
        const input = ${JSON.stringify({ pidFile })};
        void createProcessRunner({ kind: 'process', command }).run(
          { ...${JSON.stringify(invocation)}, input },
          { timeoutMs: 60_000, signal: new AbortController().signal },
        );
        const isUp = () => existsSync(input.pidFile) && readFileSync(input.pidFile).length > 0;
        setInterval(() => isUp() && process.exit(0), 20);`;
      execFileSync(process.execPath, ['-e', script], { timeout: 20_000 });
      await expectGone(Number(readFileSync(pidFile, 'utf8')));
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it('kills a grandchild that an agent left behind when it returned', async () => {
    const exit = await run(commandOf('leavesGrandchild'));
    if (exit.kind !== 'returned') throw new Error(JSON.stringify(exit));
    await expectGone((exit.result as { pid: number }).pid);
  });

  it('takes the last line that is not empty for the result, after any amount of output', async () => {
    expect(await run(commandOf('chatter'))).toEqual({ kind: 'returned', result: { done: true } });
  });

  it('names the exit code and the end of stderr, without the key', async () => {
    expect(await run(commandOf('fail'))).toEqual({
      kind: 'crashed',
      detail: 'the agent exited with code 3: could not reach the database with [api key]',
    });
  });

  it('names the signal that killed an agent', async () => {
    expect(await run(commandOf('die'))).toEqual({
      kind: 'crashed',
      detail: 'the agent was killed by SIGKILL',
    });
  });

  it('takes an agent that prints nothing for a crash', async () => {
    expect(await run(commandOf('nothing'))).toEqual({
      kind: 'crashed',
      detail: textWith('printed no result'),
    });
  });

  it('quotes what was printed instead of JSON', async () => {
    expect(await run(commandOf('notJson'))).toEqual({
      kind: 'crashed',
      detail: textWith('got "I called the tool."'),
    });
  });

  it('names a program that cannot be started', async () => {
    const exit = await run(['no-such-program-anywhere']);
    if (exit.kind !== 'crashed') throw new Error(`expected a crash, got ${exit.kind}`);
    expect(exit.detail).toContain('could not be started [command=no-such-program-anywhere]');
    expect(exit.detail).toContain('ENOENT');
    expect((await run([process.execPath, 'a\0b'])).kind).toBe('crashed');
    expect((await run(commandOf('nothing'), { cwd: '/no/such/folder' })).kind).toBe('crashed');
  });

  it('minds no agent that does not read its input', async () => {
    const exit = await run(commandOf('deaf'), { input: 'x'.repeat(4 << 20) });
    expect(exit).toEqual({ kind: 'returned', result: 'did not listen' });
  });

  it('hands on nothing of the worker’s environment but PATH and HOME', async () => {
    process.env['SECRET_OF_THE_WORKER'] = 'secret';
    const exit = await run(commandOf('environment'), {
      env: { DESK: 'north', OPENAI_API_KEY: 'stale' },
    });
    delete process.env['SECRET_OF_THE_WORKER'];
    if (exit.kind !== 'returned') throw new Error(JSON.stringify(exit));
    expect(exit.result).toEqual({
      PATH: process.env['PATH'],
      HOME: process.env['HOME'],
      DESK: 'north',
      OPENAI_BASE_URL: invocation.baseUrl,
      OPENAI_API_KEY: invocation.apiKey,
      OPENAI_MODEL: invocation.model,
    });
  });
});

/** A killed process stays in the table until its new parent takes note of it; dead is what counts. */
async function expectGone(pid: number): Promise<void> {
  expect(pid).toBeGreaterThan(1);
  for (let i = 0; i < 100 && isAlive(pid); i += 1) await delay(20);
  expect(isAlive(pid)).toBe(false);
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch {
    return false; // ESRCH
  }
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return process.platform !== 'linux'; // no /proc there; on Linux it just went
  }
}
