import type { ChatCompletionFunctionTool } from 'openai/resources/chat/completions';
import { readDataFile } from './data-file';

/** The tool of whoever cannot help. */
export const ESCALATE = 'escalate_to_human';

/** One thing that the desk can do. */
export interface Skill {
  /** The tool's name, e.g. `freeze_account`. */
  readonly name: string;
  readonly domain: string;
  readonly description: string;
  /** Does it, and says what was done. */
  readonly handle: (input: string) => string;
}

const words = (name: string): string => name.replaceAll('_', ' ');

function toSkill(domain: string, name: string): Skill {
  return {
    name,
    domain,
    description: `Handle a customer's request about "${words(name)}" (${words(domain)}).`,
    handle: (input) =>
      `${words(domain)} desk: took care of "${words(name)}" for the request "${input}"`,
  };
}

const domains = readDataFile('domains.json') as Readonly<Record<string, readonly string[]>>;

/** 150 skills of ten domains, and the way out. */
export const skills: readonly Skill[] = [
  ...Object.entries(domains).flatMap(([domain, names]) =>
    names.map((name) => toSkill(domain, name)),
  ),
  {
    name: ESCALATE,
    domain: 'out-of-scope',
    description:
      'Hand the customer over to a human colleague, when no other tool fits the request.',
    handle: (input) => `handed "${input}" over to a human colleague`,
  },
];

const byName = new Map(skills.map((skill) => [skill.name, skill]));

export function findSkill(name: string): Skill | undefined {
  return byName.get(name);
}

/** The skills as a model is offered them. */
export const tools: ChatCompletionFunctionTool[] = skills.map(({ name, description }) => ({
  type: 'function',
  function: {
    name,
    description,
    parameters: {
      type: 'object',
      properties: { input: { type: 'string' } },
      required: ['input'],
    },
  },
}));
