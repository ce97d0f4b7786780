import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { InvalidInputError } from '../../../src/errors';
import { loadProject } from '../../../workers/load-project';

describe('loading a project', () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'ratchet-project-'));
  });
  afterAll(() => rm(folder, { recursive: true }));

  const write = async (name: string, code: string): Promise<string> => {
    const path = join(folder, `${name}.js`);
    await writeFile(path, code);
    return path;
  };
  const whole = (overrides = ''): string => `exports.project = {
    agents: { desk: { kind: 'module', run: async () => null } },
    scorers: [{ name: 'resolved', version: '1', score: () => 1 }],
    datasets: { desk: async () => ({ tasks: [], demonstrations: [], attribution: '' }) },
    policies: {
      support: {
        config: { arms: ['track', 'refund'].map((tool) => ({ kind: 'tool', name: tool, tool })) },
        createFrom: { dataset: 'desk' },
      },
    },
    ${overrides}
  };`;

  it('gives what the module exports as `project`, its functions untouched', async () => {
    const path = await write('whole', whole());
    const project = loadProject(path);
    expect(Object.keys(project.agents)).toEqual(['desk']);
    expect(project.scorers[0]?.score({} as never)).toBe(1);
    await expect(project.datasets['desk']?.()).resolves.toMatchObject({ tasks: [] });
  });

  it('fills in what a policy leaves out', async () => {
    const { policies } = loadProject(await write('defaults', whole()));
    expect(policies['support']?.config).toMatchObject({ kind: 'choice', explorationFloor: 0.02 });
    expect(policies['support']?.create).toMatchObject({ epochs: 18 });
  });

  it('takes agents of every kind', async () => {
    const agents = `agents: {
      own: { kind: 'module', run: async () => null },
      program: { kind: 'process', command: ['desk'] },
      service: { kind: 'http', url: 'http://agents.internal/desk' },
    },`;
    const project = loadProject(await write('kinds', whole(agents)));
    expect(Object.values(project.agents).map(({ kind }) => kind)).toEqual([
      ...['module', 'process', 'http'],
    ]);
  });

  it('takes a path without its extension', async () => {
    const path = await write('bare', whole());
    expect(loadProject(path.replace(/\.js$/, '')).policies).toHaveProperty('support');
  });

  it('names every place where it looked', () => {
    const load = (): unknown => loadProject('no/such/project');
    expect(load).toThrow(InvalidInputError);
    expect(load).toThrow(/not found: set RATCHET_PROJECT.*tried .*no\/such\/project and .*dist/);
  });

  it.each([
    ['nothing', 'exports.other = 1;', /project/],
    ['no scorers', whole('scorers: undefined,'), /scorers/],
    ['a scorer without a version', whole(`scorers: [{ name: 'a', score() {} }],`), /version/],
    ['a scorer that is no function', whole(`scorers: [{ name: 'a', version: '1' }],`), /score/],
    ['an agent of no kind', whole(`agents: { desk: { run() {} } },`), /agents\.desk\.kind/],
    ['a dataset that is no function', whole(`datasets: { desk: [] },`), /datasets\.desk/],
    [
      'a policy with a wrong field',
      whole(`policies: { support: { config: { arms: 3 }, createFrom: { dataset: 'desk' } } },`),
      /policies\.support\.config is not valid/,
    ],
    ['a policy from nowhere', whole(`policies: { support: {} },`), /policies\.support\.createFrom/],
  ])('that exports %s names what is wrong', async (name, code, message) => {
    const path = await write(name.replaceAll(' ', '-'), code);
    expect(() => loadProject(path)).toThrow(InvalidInputError);
    expect(() => loadProject(path)).toThrow(message);
    expect(() => loadProject(path)).toThrow(path);
  });

  it('that throws shows its own error', async () => {
    const path = await write('throws', `throw new Error('no database configured');`);
    expect(() => loadProject(path)).toThrow('no database configured');
  });

  it('that needs a module which is not installed says which', async () => {
    const path = await write('needs', `require('not-installed-here');`);
    expect(() => loadProject(path)).toThrow(/not-installed-here/);
  });
});
