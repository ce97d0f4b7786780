/** From where on an answer's length costs. Both in tokens. */
export interface OverlongPenalty {
  /** An answer of this length loses all of 1. */
  readonly maxTokens: number;
  /** So many tokens before that, it begins to lose. */
  readonly cacheTokens: number;
}

/**
 * Soft overlong punishment: 0 up to maxTokens − cacheTokens, then linearly down to −1. DAPO, arXiv:2503.14476, eq. 13 (there 20,480 and 4,096).
 *
 * @returns what is added to the reward, in [−1, 0].
 */
export function overlongPenalty(
  tokens: number,
  { maxTokens, cacheTokens }: OverlongPenalty,
): number {
  const free = maxTokens - cacheTokens;
  if (tokens <= free) return 0;
  return tokens >= maxTokens ? -1 : (free - tokens) / cacheTokens;
}
