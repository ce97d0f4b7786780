import type { HttpBindings } from '@hono/node-server';
import type { Context } from 'hono';

/** `incoming` and `outgoing` are there when a server stands in front, and not when a test calls the app directly. */
export interface GatewayEnv {
  Bindings: Partial<HttpBindings>;
}
export type GatewayContext = Context<GatewayEnv>;

/** A header of the request. Behind a server it is taken from what Node has parsed: a `Headers` over it costs more than most handlers. */
export function headerOf(c: GatewayContext, name: string): string | undefined {
  const incoming = c.env?.incoming;
  if (incoming === undefined) return c.req.header(name);
  const value = incoming.headers[name];
  return typeof value === 'string' ? value : value?.join(', ');
}
