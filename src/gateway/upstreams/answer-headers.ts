import type { UpstreamResponse } from './upstream';

/** Headers of an upstream's answer that its clients read: how long to wait, what is left of a limit, who to tell. */
const HANDED_ON =
  /^(?:retry-after(?:-ms)?|(?:anthropic|x)-ratelimit-[a-z0-9-]+|openai-processing-ms)$/;

/** How an upstream names the request, for its own support. */
export const UPSTREAM_REQUEST_ID = 'x-ratchet-upstream-request-id';

/** What of an upstream's headers reaches the client: never those that belong to the connection, or that say how the body was packed. */
export function answerHeaders({
  headers,
}: Pick<UpstreamResponse, 'headers'>): Record<string, string> {
  const kept: Record<string, string> = {};
  for (const [name, value] of Object.entries(headers)) {
    if (HANDED_ON.test(name) && isPlain(value)) kept[name] = value;
  }
  const requestId = headers['x-request-id'] ?? headers['request-id'];
  if (isPlain(requestId)) kept[UPSTREAM_REQUEST_ID] = requestId;
  return kept;
}

/** Of one line that HTTP can hold. The bytes of a header are read as UTF-8, and what comes of that could not be written into one again. */
export function isPlain(value: string | string[] | undefined): value is string {
  return typeof value === 'string' && /^[\t\x20-\x7e]*$/.test(value);
}
