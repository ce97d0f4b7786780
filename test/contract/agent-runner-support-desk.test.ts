import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { project } from '../../examples/support-desk/project';
import { createAgentRunner } from '../../src/adapters/agents/create-agent-runner';
import type { AgentExit, AgentSpec } from '../../src/ports/agent-runner';
import {
  callOf,
  type FakeAnswer,
  type FakeOpenAi,
  startFakeOpenAi,
} from '../helpers/agents/fake-openai';
import { invocation, textWith } from './agent-runner.contract';

const PYTHON = 'python3';
const hasPython = spawnSync(PYTHON, ['--version']).status === 0;
const script = join(__dirname, '..', '..', 'examples', 'support-desk', 'agent.py');

supportDeskContract('a module', project.agents['support-desk'] as AgentSpec);
supportDeskContract('a process of Node', project.agents['support-desk-process'] as AgentSpec);
if (hasPython) {
  supportDeskContract('a process of Python', { kind: 'process', command: [PYTHON, script] });
} else {
  it.skip('the support desk as a process of Python: python3 is not on PATH', () => undefined);
}

/** The same desk, whatever it is written in. */
function supportDeskContract(name: string, spec: AgentSpec): void {
  describe(`the support desk as ${name}`, () => {
    const runner = createAgentRunner(spec);
    let openAi: FakeOpenAi | undefined;
    afterEach(() => openAi?.close());
    afterAll(() => runner.close());

    async function serve(answer: (index: number) => FakeAnswer): Promise<AgentExit> {
      openAi = await startFakeOpenAi((_, index) => answer(index));
      return runner.run(
        { ...invocation, baseUrl: openAi.baseUrl, input: { query: 'my card is gone' } },
        { timeoutMs: 30_000, signal: new AbortController().signal },
      );
    }

    it('offers 151 tools with the customer’s query, and does what it is told', async () => {
      const exit = await serve(() => callOf('report_lost_card'));
      expect(exit).toEqual({
        kind: 'returned',
        result: { action: 'report_lost_card', done: textWith('report lost card') },
      });
      const [request] = openAi?.requests ?? [];
      expect(openAi?.requests).toHaveLength(1);
      expect(request?.headers.authorization).toBe(`Bearer ${invocation.apiKey}`);
      expect(request?.body.model).toBe(invocation.model);
      expect(request?.body.messages.at(-1)).toEqual({ role: 'user', content: 'my card is gone' });
      const names = request?.body.tools.map((tool) => tool.function.name);
      expect(new Set(names).size).toBe(151);
      expect(names).toContain('escalate_to_human');
    });

    it('takes an answer in words for a reply', async () => {
      const exit = await serve(() => ({ role: 'assistant', content: 'Oh no!' }));
      expect(exit).toEqual({ kind: 'returned', result: { action: 'reply', done: 'Oh no!' } });
    });

    it('tries again when the endpoint is busy', async () => {
      const exit = await serve((index) => (index === 0 ? 503 : callOf('escalate_to_human')));
      expect(exit).toMatchObject({ kind: 'returned', result: { action: 'escalate_to_human' } });
      expect(openAi?.requests).toHaveLength(2);
    });

    it('crashes when the endpoint refuses it', async () => {
      const exit = await serve(() => 401);
      expect(exit).toEqual({ kind: 'crashed', detail: textWith('401') });
    });
  });
}
