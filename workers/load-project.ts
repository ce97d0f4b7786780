import { createRequire } from 'node:module';
import { z } from 'zod';
import { InvalidInputError } from '../src/errors';
import type { PolicyRegistration, Project } from '../src/project';
import { ChoiceConfig } from '../src/schemas/choice-config';
import { CreateConfig } from '../src/schemas/train-config';
import { projectCandidates } from './env';

/** The user names the module at run time; both kinds that Node's `require` takes will do. */
const load = createRequire(__filename);

const scorer = z.object({
  name: z.string().min(1),
  version: z.string().min(1),
  score: z.function(),
});

/** The outer shape only: functions are called, and what they return is parsed, where they are used. */
const ProjectShape = z.object({
  agents: z.record(z.string(), z.object({ kind: z.enum(['module', 'process', 'http']) }).loose()),
  scorers: z.array(scorer.loose()),
  datasets: z.record(z.string(), z.function()),
  policies: z.record(
    z.string(),
    z
      .object({ config: z.unknown(), createFrom: z.object({ dataset: z.string() }).loose() })
      .loose(),
  ),
});

/**
 * Loads the module that registers agents, scorers, datasets and policies.
 *
 * @throws {InvalidInputError} if it is not there or does not export a `project`.
 */
export function loadProject(projectModule: string): Project {
  const tried: string[] = [];
  for (const path of projectCandidates(projectModule)) {
    let resolved: string;
    try {
      resolved = load.resolve(path);
    } catch {
      tried.push(path); // not there; the next candidate, or the error below, says so
      continue;
    }
    const loaded = load(resolved) as { project?: unknown };
    const parsed = ProjectShape.safeParse(loaded.project);
    if (parsed.success) return withDefaults(loaded.project as Project, resolved);
    throw new InvalidInputError(
      `the project module does not export a valid \`project\`:\n${z.prettifyError(parsed.error)}`,
      { context: { module: resolved } },
    );
  }
  throw new InvalidInputError(
    `the project module was not found: set RATCHET_PROJECT to a compiled module that exports \`project\`; tried ${tried.join(' and ')}`,
    { context: { RATCHET_PROJECT: projectModule } },
  );
}

/** Policies as the rest of the code knows them: what the user left out has its default. */
function withDefaults(project: Project, module: string): Project {
  const policies = Object.entries(project.policies).map(
    ([name, { config, create, createFrom }]) => {
      const complete: PolicyRegistration = {
        config: parsePart(ChoiceConfig, config, `policies.${name}.config`, module),
        create: parsePart(CreateConfig, create ?? {}, `policies.${name}.create`, module),
        createFrom,
      };
      return [name, complete] as const;
    },
  );
  return { ...project, policies: Object.fromEntries(policies) };
}

function parsePart<S extends z.ZodType>(
  schema: S,
  value: unknown,
  path: string,
  module: string,
): z.output<S> {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  throw new InvalidInputError(
    `the project's ${path} is not valid:\n${z.prettifyError(parsed.error)}`,
    {
      context: { module },
    },
  );
}
