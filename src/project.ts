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

/** How a policy comes to life when it has no champion yet. */
export interface PolicyRegistration {
  readonly config: ChoiceConfig;
  readonly createFrom: {
    /** By supervised training on this dataset's demonstrations, */
    readonly dataset: string;
    /**
     * or, with this, as a policy that takes each arm with the given probability whatever is asked, so that live feedback about all of them
     * comes in. Greedily (as in evaluations) it takes the most probable arm, of equals the first.
     */
    readonly prior?: Readonly<Record<string, number>>;
  };
  /** How it is trained on them; the defaults of CreateConfig when left out. */
  readonly create?: CreateConfig;
}
