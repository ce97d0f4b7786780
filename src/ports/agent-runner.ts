import type { Json } from '../schemas/json';

/** What an agent is given for one attempt. Whatever its language, the first two are all an unmodified agent needs. */
export interface AgentInvocation {
  /** `OPENAI_BASE_URL` of the agent. */
  readonly baseUrl: string;
  /** `OPENAI_API_KEY` of the agent: the session's signed token. */
  readonly apiKey: string;
  /** The model name to ask for, e.g. `ratchet/support-desk`. */
  readonly model: string;
  /** The task's input. It never holds a label. */
  readonly input: Json;
  /**
   * The same whenever the same rollout is executed again: by a retry after an infrastructure failure, by another worker
   * after the death of the first. Tools that act on the world use it to act once.
   */
  readonly idempotencyKey: string;
}

/** How an agent's execution ended; src/scoring/classify.ts turns it into an outcome. */
export type AgentExit =
  | { readonly kind: 'returned'; readonly result: Json }
  | { readonly kind: 'crashed'; readonly detail: string }
  /** Nobody there, or nobody who would take the attempt before its deadline. Only agents that are services are ever so. */
  | { readonly kind: 'unavailable'; readonly detail: string }
  | { readonly kind: 'timedOut'; readonly timeoutMs: number }
  | { readonly kind: 'cancelled' };

export interface RunOptions {
  /** Deadline of the whole attempt, waiting included, in milliseconds. */
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
  /** Told when the attempt begins (and ceases) to wait for an agent that takes no more at the moment. */
  readonly onWaiting?: (isWaiting: boolean) => void;
}

/** Runs agents. One contract suite (test/contract/agent-runner.contract.ts) holds for every adapter. */
export interface AgentRunner {
  /** Never rejects for what the agent does: that is an exit. Leaves nothing running once it resolves. */
  run(invocation: AgentInvocation, options: RunOptions): Promise<AgentExit>;
  close(): Promise<void>;
}

/** An agent that runs in our process: a function that calls a model through `baseUrl` and returns what it did. */
export type ModuleAgent = (
  invocation: AgentInvocation & { readonly signal: AbortSignal },
) => Promise<Json>;

/** How a project registers an agent. Run configurations only name agents: they can never make a worker run something. */
export type AgentSpec =
  | { readonly kind: 'module'; readonly run: ModuleAgent }
  | {
      readonly kind: 'process';
      /** Program and arguments; no shell is involved. */
      readonly command: readonly [string, ...string[]];
      readonly cwd?: string;
      /** Added to PATH, HOME and the OPENAI_* variables; nothing else of the worker's environment is handed on. */
      readonly env?: Readonly<Record<string, string>>;
    }
  | {
      readonly kind: 'http';
      /** Where attempts are posted (docs/agents-http.md); http or https, without credentials in it. */
      readonly url: string;
      /** Sent with every request, e.g. an Authorization. Their values never show in an error. */
      readonly headers?: Readonly<Record<string, string>>;
      /** Attempts that the service is ever given at once, over all batches of a worker. @default 128 */
      readonly maxConcurrency?: number;
    };
