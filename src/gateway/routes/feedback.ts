import { randomUUID } from 'node:crypto';
import { z } from 'zod';
import { actingAgent, AGENT_HEADER, assertInScope, isInScope } from '../keys/agent-scope';
import type { ApiKeyRecord } from '../keys/api-keys';
import type { Principal } from '../keys/auth';
import { parseJson, validate } from '../http/json-body';
import { readBody } from '../http/read-body';
import { badRequest, forbidden, RequestError } from '../http/request-error';
import { readResponseId } from '../keys/response-id';
import type { RewardWriter } from '../recording/reward-writer';
import type { Redaction } from '../recording/redaction';
import type { Handler } from '../http/route';
import { headerOf } from '../http/gateway-context';
import { agentOfSession, isLiveSessionOf, storedSessionId } from '../keys/session-id';

const FEEDBACK_SCORER = 'feedback';
const RecordId = z.string().min(1).max(200);

/** The body of `POST /v1/feedback`. */
export const FeedbackRequest = z
  .strictObject({
    /** An agent names its session as it did in its calls; everyone else by the id under which it is stored. */
    session: z.string().min(1).max(1_024).optional(),
    /** The id of an answer: `chatcmpl-…`. */
    response_id: z.string().min(1).max(4_096).optional(),
    /** true is 1, false is 0. */
    value: z.union([z.boolean(), z.number()]),
    comment: z.string().max(4_096).optional(),
    /** Makes a repeat harmless, as the header `Idempotency-Key` does. */
    id: RecordId.optional(),
    /** What was measured. Only a scorer may say anything but `feedback`. */
    scorer: z.string().min(1).max(200).default(FEEDBACK_SCORER),
    scorer_version: z.string().min(1).max(200).default('1'),
    /** The id of a record that this one corrects. */
    supersedes: z.string().min(1).max(400).optional(),
  })
  .refine(({ session, response_id }) => (session === undefined) !== (response_id === undefined), {
    message: 'expected either session or response_id',
    path: ['session'],
  });
type FeedbackRequest = z.infer<typeof FeedbackRequest>;

export interface FeedbackDeps {
  readonly rewards: RewardWriter;
  readonly signingKey: Uint8Array;
  readonly bodyLimitBytes: number;
  readonly redaction: Redaction;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

/**
 * `POST /v1/feedback`: writes a reward record, which is durable when the answer comes. Under one id the same content may be sent again and
 * gets the same answer; other content is a conflict. Ids belong to the key that sent them.
 */
export function postFeedback(deps: FeedbackDeps): Handler<Principal> {
  return async (c, { principal }) => {
    const body = validate(FeedbackRequest, parseJson(await readBody(c, deps.bodyLimitBytes)));
    const record = principal.kind === 'key' ? principal.record : null;
    // The route does not admit session keys: an agent must not grade its own rollout.
    if (record === null) throw forbidden('a session key may not give feedback');
    const { role, id: by } = record;
    if (role === 'agent' && (body.scorer !== FEEDBACK_SCORER || body.supersedes !== undefined)) {
      throw forbidden('an agent may only give feedback: leave out scorer and supersedes');
    }
    const { trajectory, decision } = targetOf(body, record, headerOf(c, AGENT_HEADER), deps);
    const header = headerOf(c, 'idempotency-key');
    const given = header === undefined ? body.id : validate(RecordId, header, ['idempotency-key']);
    const { outcome, record: stored } = await deps.rewards.write({
      id: `${by}.${given ?? randomUUID()}`,
      trajectory,
      decision,
      scorer: body.scorer,
      scorerVersion: body.scorer_version,
      value: Number(body.value),
      ...(body.comment === undefined ? {} : { comment: body.comment }),
      by: `key:${by}`,
      at: new Date(deps.now()).toISOString(),
      supersedes: body.supersedes ?? null,
    });
    if (outcome === 'conflict') {
      throw new RequestError('other feedback was already given under this id: choose a new one', {
        status: 409,
        reason: 'idempotency_conflict',
        param: 'id',
      });
    }
    return { body: { object: 'feedback', ...stored } };
  };
}

/**
 * What is rewarded.
 *
 * @param named the agent that the request names, for a key with several.
 * @throws {RequestError} 403 if it is nothing of the key's.
 */
function targetOf(
  { session, response_id: responseId }: FeedbackRequest,
  record: ApiKeyRecord,
  named: string | undefined,
  { signingKey, redaction }: FeedbackDeps,
): { readonly trajectory: string; readonly decision: string | null } {
  if (responseId === undefined) {
    const name = session ?? '';
    if (record.role === 'agent') {
      const agent = actingAgent(record, named);
      return { trajectory: storedSessionId(redaction, agent, name), decision: null };
    }
    if (record.agents.length > 0) assertInScope(record, agentOfSession(name));
    return { trajectory: storedSessionId(redaction, null, name), decision: null };
  }
  const parts = readResponseId(signingKey, responseId);
  if (parts === null) {
    throw badRequest(
      'response_id is not the id of an answer that this gateway gave',
      'unknown_response',
      'response_id',
    );
  }
  const isOurs = record.role !== 'agent' || isLiveSessionOf(parts.agent, parts.session);
  if (!isInScope(record, parts.agent) || !isOurs) {
    throw forbidden(
      'this answer does not belong to a session that the key may have to do with',
      'not_your_session',
    );
  }
  return { trajectory: parts.session, decision: parts.isDecision ? responseId : null };
}
