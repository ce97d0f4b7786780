import { builtinModules } from 'node:module';
import { workflowBundle } from '../../helpers/workflow-bench';

/** Paths of the bundled modules: our own relative to the checkout, others from node_modules/ on. */
async function bundledModules(): Promise<string[]> {
  const { code } = await workflowBundle();
  const map = code.slice(code.lastIndexOf('base64,') + 'base64,'.length);
  const { sources } = JSON.parse(Buffer.from(map, 'base64').toString()) as { sources: string[] };
  return sources.map((source) => source.replace(/^webpack:\/\/[^/]*\//, '').replace(/^\.\//, ''));
}

describe('the workflow bundle', () => {
  let modules: string[];
  beforeAll(async () => {
    modules = await bundledModules();
  });

  it('holds every workflow, and the deciders that they share with the activities', () => {
    const ours = modules.filter((path) => !path.includes('node_modules'));
    for (const file of ['workflows/training-run.ts', 'workflows/promotion.ts', 'src/loop/drops.ts'])
      expect(ours.filter((path) => path.endsWith(file))).toHaveLength(1);
  });

  it.each(['activities', 'workers', 'src/adapters', 'src/storage', 'src/gateway', 'src/policies'])(
    'holds nothing of %s',
    (folder) => {
      const inFolder = new RegExp(`(^|/)${folder}/`);
      const found = modules.filter((path) => !path.includes('node_modules') && inFolder.test(path));
      expect(found).toEqual([]);
    },
  );

  it('holds no module of Node', async () => {
    const { code } = await workflowBundle();
    const externals = builtinModules.filter(
      (name) => code.includes(`require("${name}")`) || code.includes(`require("node:${name}")`),
    );
    expect(externals).toEqual([]);
    expect(modules.filter((path) => /external "|^node:/.test(path))).toEqual([]);
  });

  it('holds no SDK, and of Temporal only what runs in a workflow', () => {
    const packages = modules.flatMap((path) => {
      const match = /node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(path);
      return match?.[1] === undefined ? [] : [match[1]];
    });
    const temporal = ['@temporalio/common', '@temporalio/workflow', '@temporalio/worker'];
    const allowed = [...temporal, 'long', 'ms', 'nexus-rpc', 'zod'];
    expect([...new Set(packages)].filter((name) => !allowed.includes(name))).toEqual([]);
  });
});
