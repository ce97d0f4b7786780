/** The two models that the router chooses from, as the doubles in upstream-double.ts play them. */
export const MODELS = ['dear', 'cheap'] as const;
export type ModelName = (typeof MODELS)[number];

/** In units of money per million tokens: one costs ten times as much as the other. */
export const PRICES = {
  dear: { input: 10, output: 40 },
  cheap: { input: 1, output: 4 },
} as const;

/** What every answer is said to have used: a prompt with 151 tools, and one call. */
export const USAGE = { prompt_tokens: 5_000, completion_tokens: 25 } as const;

/** What one call of the dear model costs, in millionths: where `thrift` is 0. */
export const DEAR_CALL =
  USAGE.prompt_tokens * PRICES.dear.input + USAGE.completion_tokens * PRICES.dear.output;

/** What a saved call of the dear model is worth, in resolved queries. See docs/routers.md. */
export const LAMBDA = 0.25;

/** The domains that the cheap model is good at. */
export const CHEAP_IS_GOOD_AT: ReadonlySet<string> = new Set([
  ...['banking', 'credit_cards', 'home', 'work', 'travel'],
]);

/** How often a model calls the right tool, where it is good and where it is not. */
export const GOOD = 0.97;
export const POOR = 0.2;
