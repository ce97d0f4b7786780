import type { GatewayContext } from './gateway-context';
import { getPath } from 'hono/utils/url';

/** `/s/<session token>/v1/…`: for agents whose base URL can be set and whose key cannot. */
const SESSION_PATH = /^\/s\/([^/]+)(\/v1\/.*)$/;

/**
 * The path by which a request is routed, and which logs and errors see: without the session token. Of a path that begins like one and is
 * none, nothing is said either: there may be a token in it.
 */
export function routedPath(request: Request): string {
  const path = getPath(request);
  if (!path.startsWith('/s/')) return path;
  return SESSION_PATH.exec(path)?.[2] ?? '/s/…';
}

/** The token in the path; undefined where there is none. */
export function sessionTokenIn(c: GatewayContext): string | undefined {
  return SESSION_PATH.exec(getPath(c.req.raw))?.[1];
}
