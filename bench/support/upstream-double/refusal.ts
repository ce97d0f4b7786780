import type { z } from 'zod';

/** A request that a provider would refuse. */
export class Refusal extends Error {
  readonly code: string | null;
  readonly param: string | null;
  readonly headers: Readonly<Record<string, string>>;

  constructor(
    readonly status: number,
    message: string,
    {
      code = null,
      param = null,
      headers = {},
    }: {
      readonly code?: string | null;
      readonly param?: string | null;
      readonly headers?: Readonly<Record<string, string>>;
    } = {},
  ) {
    super(message);
    this.code = code;
    this.param = param;
    this.headers = headers;
  }
}

/** Whose API it is: OpenAI's, or Anthropic's. */
export type Provider = 'openai' | 'anthropic';

const OPENAI_TYPES: Readonly<Record<number, string>> = {
  401: 'invalid_request_error',
  403: 'permission_error',
  429: 'requests',
};
const ANTHROPIC_TYPES: Readonly<Record<number, string>> = {
  401: 'authentication_error',
  403: 'permission_error',
  404: 'not_found_error',
  413: 'request_too_large',
  429: 'rate_limit_error',
  529: 'overloaded_error',
};

/**
 * Sources: https://platform.openai.com/docs/guides/error-codes, https://docs.anthropic.com/en/api/errors
 *
 * @returns the body of the error as its provider writes it.
 */
export function refusalBody(
  provider: Provider,
  { status, message, code, param }: Refusal,
  requestId: string,
): object {
  if (provider === 'anthropic') {
    const fallback = status < 500 ? 'invalid_request_error' : 'api_error';
    const type = ANTHROPIC_TYPES[status] ?? fallback;
    return { type: 'error', error: { type, message }, request_id: requestId };
  }
  const fallback = status < 500 ? 'invalid_request_error' : 'server_error';
  return { error: { message, type: OPENAI_TYPES[status] ?? fallback, param, code } };
}

export function invalid(message: string, param: string | null, code?: string): Refusal {
  return new Refusal(400, message, { param, ...(code === undefined ? {} : { code }) });
}

/** @throws {Refusal} 400 that names the first member that is not as it must be. */
export function check<T>(schema: z.ZodType<T>, value: unknown): T {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const issue = deepest(result.error.issues);
  const path = issue.path.reduce<string>(
    (text, key) =>
      typeof key === 'number'
        ? `${text}[${key}]`
        : `${text}${text === '' ? '' : '.'}${String(key)}`,
    '',
  );
  if (issue.code === 'unrecognized_keys') {
    const name = [...(path === '' ? [] : [path]), issue.keys[0]].join('.');
    throw invalid(`unknown parameter: '${name}'`, name, 'unknown_parameter');
  }
  throw invalid(`invalid '${path}': ${issue.message}`, path || null, 'invalid_value');
}

/** Of a union the branch that came furthest: it says what is wrong, and not that nothing fits. */
function deepest(issues: readonly z.core.$ZodIssue[]): z.core.$ZodIssue {
  const [issue] = issues as [z.core.$ZodIssue];
  if (issue.code !== 'invalid_union') return issue;
  const inner = issue.errors
    .filter((branch) => branch.length > 0)
    .map((branch) => deepest(branch))
    .sort((a, b) => b.path.length - a.path.length)[0];
  if (inner === undefined || inner.path.length === 0) return issue;
  return { ...inner, path: [...issue.path, ...inner.path] };
}

/** Members that may be left out may also be null, and mean the same. */
export function isGiven<T>(value: T | null | undefined): value is T {
  return value !== undefined && value !== null;
}
