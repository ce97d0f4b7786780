import { getEventListeners } from 'node:events';
import { MAX_RESULT_BYTES } from '../../src/adapters/agents/agent-exit';
import type { AgentExit, AgentInvocation, AgentRunner } from '../../src/ports/agent-runner';
import type { Behaviour } from '../helpers/agents/module-agents';

export const invocation: AgentInvocation = {
  baseUrl: 'http://127.0.0.1:1/v1',
  apiKey: 'session-key-of-the-test',
  model: 'ratchet/test',
  input: { query: 'wie geht’s? ☎' },
  idempotencyKey: 'rollout-1',
};

/** Any text that contains `part`. */
export function textWith(part: string): unknown {
  return expect.stringContaining(part);
}

/** What every adapter of AgentRunner promises, whatever its agents are made of. */
export function agentRunnerContract(
  name: string,
  createRunner: (behaviour: Behaviour) => AgentRunner,
): void {
  describe(`an agent runner: ${name}`, () => {
    const runners: AgentRunner[] = [];
    const runnerOf = (behaviour: Behaviour): AgentRunner => {
      const runner = createRunner(behaviour);
      runners.push(runner);
      return runner;
    };
    const run = (
      behaviour: Behaviour,
      input = invocation.input,
      timeoutMs = 20_000,
    ): Promise<AgentExit> =>
      runnerOf(behaviour).run(
        { ...invocation, input },
        { timeoutMs, signal: new AbortController().signal },
      );
    afterEach(() => Promise.all(runners.splice(0).map((runner) => runner.close())));

    it('hands the agent its invocation and hands back what it returned', async () => {
      expect(await run('echo')).toEqual({ kind: 'returned', result: invocation });
    });

    it('says what an agent that throws said', async () => {
      expect(await run('throw')).toEqual({
        kind: 'crashed',
        detail: textWith('the agent broke'),
      });
    });

    it.each(['hang', 'stubborn'] as const)(
      'stops an agent at its deadline: %s',
      async (behaviour) => {
        const startedAt = performance.now();
        expect(await run(behaviour, null, 300)).toEqual({ kind: 'timedOut', timeoutMs: 300 });
        const tookMs = performance.now() - startedAt;
        expect(tookMs).toBeGreaterThanOrEqual(299);
        expect(tookMs).toBeLessThan(10_000);
      },
    );

    it.each(['hang', 'stubborn'] as const)(
      'stops an agent that is cancelled: %s',
      async (behaviour) => {
        const controller = new AbortController();
        const { signal } = controller;
        const running = runnerOf(behaviour).run(invocation, { timeoutMs: 60_000, signal });
        setTimeout(() => controller.abort(), 200);
        expect(await running).toEqual({ kind: 'cancelled' });
      },
    );

    it('does not start an agent that is cancelled already', async () => {
      const signal = AbortSignal.abort();
      const exit = await runnerOf('throw').run(invocation, { timeoutMs: 1000, signal });
      expect(exit).toEqual({ kind: 'cancelled' });
    });

    it.each(['notJson', 'halfASurrogate'] as const)(
      'takes a result that is not JSON for a crash: %s',
      async (behaviour) => {
        expect(await run(behaviour)).toEqual({
          kind: 'crashed',
          detail: textWith('is not JSON'),
        });
      },
    );

    it('hands back a long result whole', async () => {
      const exit = await run('sized', { chars: MAX_RESULT_BYTES - 2 }); // and two quotes
      const isWhole = exit.kind === 'returned' && exit.result === 'x'.repeat(MAX_RESULT_BYTES - 2);
      expect(isWhole).toBe(true); // without printing it
    });

    it.each([MAX_RESULT_BYTES - 1, 5 * MAX_RESULT_BYTES])(
      'takes a result over 1 MiB for a crash: %d characters',
      async (chars) => {
        const exit = await run('sized', { chars });
        if (exit.kind !== 'crashed') throw new Error(`expected a crash, got ${exit.kind}`); // not the result itself
        expect(exit.detail).toContain('at most 1048576 bytes');
      },
    );

    it('runs 50 attempts at once without mixing them up, and lets go of their signal', async () => {
      const { signal } = new AbortController();
      const runner = runnerOf('echo');
      const running = Array.from({ length: 50 }, (_, i) =>
        runner.run(
          { ...invocation, idempotencyKey: `rollout-${i}` },
          { timeoutMs: 60_000, signal },
        ),
      );
      const exits = await Promise.all(running);
      exits.forEach((exit, i) =>
        expect(exit).toEqual({
          kind: 'returned',
          result: { ...invocation, idempotencyKey: `rollout-${i}` },
        }),
      );
      expect(getEventListeners(signal, 'abort')).toEqual([]);
    });

    it('cancels what runs when it is closed, and takes nothing more', async () => {
      const runner = runnerOf('hang');
      const options = { timeoutMs: 60_000, signal: new AbortController().signal };
      const running = runner.run(invocation, options);
      await runner.close();
      expect(await running).toEqual({ kind: 'cancelled' });
      await expect(runner.run(invocation, options)).rejects.toThrow('closed');
    });
  });
}
