import { readDataFile } from '../../../../examples/support-desk/data-file';
import { findSkill, skills, tools } from '../../../../examples/support-desk/desk';
import { project } from '../../../../examples/support-desk/project';
import { ChoiceConfig } from '../../../../src/schemas/choice-config';
import { Name } from '../../../../src/schemas/ids';

describe('the support desk’s project', () => {
  it('registers agents, datasets and policies under valid names that refer to each other', () => {
    const { agents, datasets, policies, scorers } = project;
    for (const name of [agents, datasets, policies].flatMap((registered) =>
      Object.keys(registered),
    )) {
      expect(Name.parse(name)).toBe(name);
    }
    for (const { name } of scorers) expect(Name.parse(name)).toBe(name);
    expect(Object.keys(agents)).toEqual(['support-desk', 'support-desk-process']);
    for (const policy of Object.values(policies)) {
      expect(Object.keys(datasets)).toContain(policy.createFrom.dataset);
      expect(ChoiceConfig.parse(policy.config)).toEqual(policy.config);
    }
  });

  it('has a policy with one arm for each tool that the agent offers', () => {
    const offered = tools.map((tool) => tool.function.name);
    expect(
      project.policies['support-desk']?.config.arms.map((arm) => arm.kind === 'tool' && arm.tool),
    ).toEqual(offered);
    expect(new Set(offered).size).toBe(151);
  });
});

describe('the desk', () => {
  it('has a skill for each intent of CLINC150', () => {
    const data = readDataFile('data_full.json') as { test: [string, string][] };
    const intents = new Set(data.test.map(([, intent]) => intent));
    expect(intents.size).toBe(150);
    for (const intent of intents) expect(findSkill(intent)?.name).toBe(intent);
    expect(skills).toHaveLength(151);
  });

  it('describes a tool in words, and says what was done', () => {
    const freeze = findSkill('freeze_account');
    expect(freeze?.description).toBe(
      'Handle a customer\'s request about "freeze account" (banking).',
    );
    expect(freeze?.handle('freeze it')).toContain(
      'took care of "freeze account" for the request "freeze it"',
    );
  });
});
