import type { AgentSpec } from './ports/agent-runner';
import type { ChoiceConfig } from './schemas/choice-config';
import type { DatasetSource } from './schemas/task';
import type { CreateConfig } from './schemas/train-config';
import type { Scorer } from './scoring/scorer';

/**
 * What a user registers on their workers: agents, scorers, datasets and policies by name. A module that exports
 * `project` is named by the environment variable RATCHET_PROJECT. Run configurations only refer to these names.
 */
export interface Project {
  readonly agents: Readonly<Record<string, AgentSpec>>;
  readonly scorers: readonly Scorer[];
  readonly datasets: Readonly<Record<string, () => Promise<DatasetSource>>>;
  readonly policies: Readonly<Record<string, PolicyRegistration>>;
}

/** How a policy comes to life when it has no champion yet: by supervised training on a dataset's demonstrations. */
export interface PolicyRegistration {
  readonly config: ChoiceConfig;
  readonly createFrom: { readonly dataset: string };
  /** How it is trained on them; the defaults of CreateConfig when left out. */
  readonly create?: CreateConfig;
}
