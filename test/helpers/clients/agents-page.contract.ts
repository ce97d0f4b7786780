import type { ClientGateway } from './client-gateway';
import { runSnippet, type Snippet } from '../doc-snippets';
import { agentsPage, startPageGateway } from './agents-page';

const ANSWERS: Readonly<Record<string, string>> = {
  LangGraph: 'The tools said: something is in Oslo',
};
/** Two calls, where a tool is called between them. */
const callsOf = (section: string): number => (section in ANSWERS ? 2 : 1);

/** What every snippet of these languages shall do that asks a model: print the answer; and each of its calls is recorded once. */
export function agentsPageContract(languages: readonly string[], python?: string): void {
  const snippets = agentsPage()
    .filter(({ language }) => languages.includes(language))
    .map((snippet): [string, string, Snippet] => [snippet.section, snippet.language, snippet]);
  let gateway: ClientGateway;
  beforeAll(async () => {
    gateway = await startPageGateway();
  });
  afterAll(() => gateway?.close());

  test.each(snippets.filter(([, , { code }]) => !isFeedbackOnly(code)))(
    '“%s” in %s answers, and is recorded',
    async (section, language, snippet) => {
      const agent = `${section}-${language}`.toLowerCase().replaceAll(' ', '-');
      const printed = await runSnippet(snippet, await gateway.access(agent), python);
      expect(printed).toContain(ANSWERS[section] ?? 'You said: Where is my parcel?');
      const decisions = await gateway.recorded(agent, callsOf(section));
      expect(decisions).toHaveLength(callsOf(section));
      if (snippet.code.includes('/feedback')) {
        expect(decisions[0]?.feedback).toMatchObject([{ value: 1 }]);
      }
    },
  );
}

const isFeedbackOnly = (code: string): boolean =>
  code.includes('/feedback') && code.startsWith('curl');
