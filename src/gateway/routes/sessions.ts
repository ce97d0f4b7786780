import { randomUUID } from 'node:crypto';
import { z } from 'zod';
import { Sampling } from '../../schemas/decision';
import { Digest, Name } from '../../schemas/ids';
import type { Principal } from '../keys/auth';
import { parseJson, validate } from '../http/json-body';
import { readBody } from '../http/read-body';
import type { Redaction } from '../recording/redaction';
import type { Handler } from '../http/route';
import { assertInScope } from '../keys/agent-scope';
import { mintSessionToken } from '../keys/session-token';

/** The body of `POST /v1/sessions`. */
export const SessionRequest = z
  .strictObject({
    agent: Name,
    /** The runner's own name for it; the session's id is `session/<agent>/<this>`. Random when left out. */
    session: z.string().min(1).max(200).optional(),
    policy: Name.optional(),
    /** Pins the policy's checkpoint. */
    checkpoint: Digest.optional(),
    sampling: Sampling.optional(),
    /** How long the key works. */
    ttl_seconds: z.int().min(1).max(86_400).default(3_600),
  })
  .refine(({ policy, checkpoint }) => checkpoint === undefined || policy !== undefined, {
    message: 'a checkpoint is pinned for a policy: name it',
    path: ['policy'],
  });

export interface SessionsDeps {
  readonly signingKey: Uint8Array;
  readonly bodyLimitBytes: number;
  readonly redaction: Redaction;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

/** `POST /v1/sessions`: opens a session for an agent that somebody else runs, and answers the API key that it is to be given. */
export function openSession({
  signingKey,
  bodyLimitBytes,
  redaction,
  now,
}: SessionsDeps): Handler<Principal> {
  return async (c, { principal }) => {
    const body = validate(SessionRequest, parseJson(await readBody(c, bodyLimitBytes)));
    if (principal.kind === 'key') assertInScope(principal.record, body.agent);
    const name = redaction.sessionName(body.agent, body.session ?? randomUUID());
    const session = `session/${body.agent}/${name}`;
    const expiresAt = Math.ceil(now() / 1_000) + body.ttl_seconds;
    const key = mintSessionToken(signingKey, {
      session,
      agent: body.agent,
      policy: body.policy ?? null,
      checkpoint: body.checkpoint ?? null,
      sampling: body.sampling ?? null,
      draw: null,
      expiresAt,
    });
    return {
      status: 201,
      body: { object: 'session', id: session, api_key: key, expires_at: expiresAt },
      // Nothing between us and the runner may keep the key.
      headers: { 'cache-control': 'no-store' },
    };
  };
}
