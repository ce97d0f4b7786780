import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { agentsPageContract } from '../../helpers/clients/agents-page.contract';
import { agentsPage, startPageGateway } from '../../helpers/clients/agents-page';
import { runSnippet } from '../../helpers/doc-snippets';

describe('docs/agents.md', () => {
  agentsPageContract(['js', 'sh']);

  test('every snippet is in a language that is run here or in test/clients', () => {
    const languages = new Set(agentsPage().map(({ language }) => language));
    expect([...languages].sort()).toEqual(['js', 'json', 'python', 'sh']);
  });

  test('all the clients that it promises are there, and README leads to it', () => {
    const sections = new Set(agentsPage().map(({ section }) => section));
    const promised = ['OpenAI SDK', 'OpenAI Agents SDK', 'LangChain', 'LangGraph', 'AutoGen'];
    const others = ['Vercel AI SDK', 'Anthropic SDK', 'curl'];
    expect([...sections]).toEqual(expect.arrayContaining([...promised, ...others]));
    const readme = readFileSync(join(__dirname, '../../../README.md'), 'utf8');
    expect(readme).toContain('(docs/agents.md)');
  });

  test('the session that one snippet names is the one that another gives feedback on', async () => {
    const gateway = await startPageGateway();
    try {
      const access = await gateway.access('desk');
      const ofSessions = agentsPage().filter(({ code }) => code.includes('order-4711'));
      expect(ofSessions).toHaveLength(2);
      for (const snippet of ofSessions) await runSnippet(snippet, access);
      const [decision] = await gateway.recorded('desk', 1);
      expect(decision?.session).toBe('live/desk/order-4711');
      expect(decision?.sessionFeedback).toMatchObject([{ value: 1, comment: 'the parcel came' }]);
    } finally {
      await gateway.close();
    }
  });
});
