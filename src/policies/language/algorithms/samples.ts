/**
 * One path through an episode, as the engine read and wrote it. An episode has several where its conversation branched or was cut: each is
 * a sample of its own.
 */
export interface Sample {
  readonly tokens: ArrayLike<number>;
  /** 1 for a token that the policy sampled; 0 for what it was told: prompts, answers of tools. As long as `tokens`, as are the next two. */
  readonly mask: ArrayLike<number>;
  /** log μ of each sampled token, as it was recorded when it was drawn. */
  readonly logProbs: ArrayLike<number>;
  /** From 0: which of the episode's steps, one per decision, a sampled token belongs to. */
  readonly steps: ArrayLike<number>;
  /** Whether the last answer ended because there was no room for more. */
  readonly isTruncated: boolean;
}

/** What one rollout came to. */
export interface Episode {
  readonly samples: readonly Sample[];
  /** Of the episode as a whole; task units. */
  readonly reward: number;
  /** One per step where steps were scored too; then `reward` is not looked at. */
  readonly stepRewards: readonly number[] | null;
  /** Iterations since the checkpoint that it was sampled from. */
  readonly age: number;
}

/** Episodes of one task by one policy: what group-relative advantages compare. */
export interface EpisodeGroup {
  readonly task: string;
  readonly episodes: readonly Episode[];
}

/** What an episode earned. */
export function returnOf({ reward, stepRewards }: Episode): number {
  return stepRewards === null ? reward : stepRewards.reduce((sum, step) => sum + step, 0);
}

/** How many tokens of a sample the policy wrote. */
export function sampledTokens({ mask }: Sample): number {
  let count = 0;
  for (let t = 0; t < mask.length; t++) count += mask[t] === 0 ? 0 : 1;
  return count;
}
