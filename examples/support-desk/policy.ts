import { ChoiceConfig } from '../../src/schemas/choice-config';
import { skills } from './desk';

/** One arm per tool of the desk: the policy answers every request with a call of one of them. */
export const policyConfig: ChoiceConfig = ChoiceConfig.parse({
  arms: skills.map(({ name }) => ({ kind: 'tool', name, tool: name })),
});
