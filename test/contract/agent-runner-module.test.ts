import { execFileSync } from 'node:child_process';
import { setTimeout as delay } from 'node:timers/promises';
import { distPath } from '../../src/adapters/dist-path';
import { createModuleRunner } from '../../src/adapters/agents/module-runner';
import type { Json } from '../../src/schemas/json';
import { moduleAgents } from '../helpers/agents/module-agents';
import { agentRunnerContract, invocation } from './agent-runner.contract';

agentRunnerContract('module', (behaviour) =>
  createModuleRunner(moduleAgents[behaviour], { graceMs: 50 }),
);

describe('a module runner', () => {
  const options = (timeoutMs: number): { timeoutMs: number; signal: AbortSignal } => ({
    timeoutMs,
    signal: new AbortController().signal,
  });

  it('drops the late result, and the late error, of an agent that it abandoned', async () => {
    const unhandled: unknown[] = [];
    const onUnhandled = (reason: unknown): number => unhandled.push(reason);
    process.on('unhandledRejection', onUnhandled);
    for (const late of [async () => 'too late', () => Promise.reject(new Error('too late'))]) {
      const runner = createModuleRunner(() => delay(100).then(late), { graceMs: 10 });
      expect(await runner.run(invocation, options(20))).toEqual({
        kind: 'timedOut',
        timeoutMs: 20,
      });
    }
    await delay(200);
    process.off('unhandledRejection', onUnhandled);
    expect(unhandled).toEqual([]);
  });

  it('waits for a stopped agent to unwind, but not for its result', async () => {
    const steps: string[] = [];
    const runner = createModuleRunner(
      ({ signal }) =>
        new Promise<Json>((resolve) => {
          signal.addEventListener('abort', () => {
            void delay(30).then(() => {
              steps.push('closed its connection');
              resolve('done after all');
            });
          });
        }),
      { graceMs: 5000 },
    );
    expect((await runner.run(invocation, options(20))).kind).toBe('timedOut');
    expect(steps).toEqual(['closed its connection']);
  });

  it('hands back a copy: what the agent does to its result later changes nothing', async () => {
    const result = { action: 'transfer' };
    const exit = await createModuleRunner(async () => result).run(invocation, options(1000));
    result.action = 'changed';
    expect(exit).toEqual({ kind: 'returned', result: { action: 'transfer' } });
  });

  it('prints no warning when more than ten attempts share a signal', () => {
    // In a process of its own: jest's `process` does not see Node's warnings.
    const script = `
      const { createModuleRunner } = require(${JSON.stringify(distPath('src/adapters/agents/module-runner.js'))});
      const runner = createModuleRunner(async () => 1);
      const options = { timeoutMs: 1000, signal: new AbortController().signal };
      process.on('warning', (warning) => console.log(warning.name));
      Promise.all(Array.from({ length: 50 }, () => runner.run({}, options))).then((exits) => console.log(exits.length));
    `;
    expect(execFileSync(process.execPath, ['-e', script], { encoding: 'utf8' })).toBe('50\n');
  });
});
