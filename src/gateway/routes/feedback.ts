import { createHmac } from 'node:crypto';
import { z } from 'zod';
import { answerTrajectory, type FeedbackRecord } from '../../schemas/feedback';
import { Name } from '../../schemas/ids';
import { Message } from '../../schemas/message';
import { canonicalJson } from '../../storage/canonical-json';
import { actingAgent, AGENT_HEADER, assertInScope, isInScope } from '../keys/agent-scope';
import type { ApiKeyRecord } from '../keys/api-keys';
import type { Principal } from '../keys/auth';
import { parseJson, validate } from '../http/json-body';
import { readBody } from '../http/read-body';
import { badRequest, forbidden, RequestError } from '../http/request-error';
import { isLikeResponseId, readResponseId } from '../keys/response-id';
import type { RewardWriter } from '../recording/reward-writer';
import type { Redaction } from '../recording/redaction';
import type { Handler } from '../http/route';
import { headerOf } from '../http/gateway-context';
import { agentOfSession, isLiveSessionOf, storedSessionId } from '../keys/session-id';

const FEEDBACK_SCORER = 'feedback';
const RecordId = z.string().min(1).max(200);
/** Of a record, with the key that wrote it in front. */
const WITH_KEY = /^[a-z0-9]{12}\./;

/** The body of `POST /v1/feedback`. */
export const FeedbackRequest = z
  .strictObject({
    /** An agent names its session as it did in its calls; everyone else by the id under which it is stored. */
    session: z.string().min(1).max(1_024).optional(),
    /** The id of an answer, as its client saw it: ours, or the one that the upstream gave it (`chatcmpl-…`, `resp_…`, `msg_…`). */
    response_id: z.string().min(1).max(4_096).optional(),
    /** The id of a decision: always ours. */
    decision_id: z.string().min(1).max(4_096).optional(),
    /** Whose answer it was, where an upstream's id is named with a key that belongs to no agent. */
    agent: Name.optional(),
    /** true is 1, false is 0. */
    value: z.union([z.boolean(), z.number()]).optional(),
    comment: z.string().min(1).max(4_096).optional(),
    /** What would have been the better answer: its text, or the whole message. */
    demonstration: z
      .union([
        z
          .string()
          .min(1)
          .transform((content): Message => ({ role: 'assistant', content })),
        Message.refine(({ role }) => role === 'assistant', 'expected a message of the assistant'),
      ])
      .optional(),
    /** Makes a repeat harmless, as the header `Idempotency-Key` does. Without one, what says the same is the same. */
    id: RecordId.optional(),
    /** What was measured. Only a scorer may say anything but `feedback`. */
    scorer: z.string().min(1).max(200).default(FEEDBACK_SCORER),
    scorer_version: z.string().min(1).max(200).default('1'),
    /** The id of a record that this one corrects: as it was answered, or as this key gave it. */
    supersedes: z.string().min(1).max(400).optional(),
  })
  .refine(
    (body) => [body.session, body.response_id, body.decision_id].filter(isGiven).length === 1,
    { message: 'expected one of session, response_id and decision_id', path: ['session'] },
  )
  .refine((body) => [body.value, body.comment, body.demonstration].some(isGiven), {
    message: 'expected a value, a comment or a demonstration',
    path: ['value'],
  })
  .refine(({ demonstration, session }) => demonstration === undefined || session === undefined, {
    message: 'a demonstration is the better answer to one call: name that by response_id',
    path: ['demonstration'],
  });
type FeedbackRequest = z.infer<typeof FeedbackRequest>;

function isGiven(member: unknown): boolean {
  return member !== undefined;
}

export interface FeedbackDeps {
  readonly rewards: RewardWriter;
  readonly signingKey: Uint8Array;
  readonly bodyLimitBytes: number;
  readonly redaction: Redaction;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

/**
 * `POST /v1/feedback`: writes a record of feedback, which is durable when the answer comes; it may come weeks after what it is about. Under
 * one id the same content may be sent again and gets the same answer; other content is a conflict. Without an id, the same content is the
 * same feedback. Ids belong to the key that sent them.
 */
export function postFeedback(deps: FeedbackDeps): Handler<Principal> {
  return async (c, { principal }) => {
    const body = validate(FeedbackRequest, parseJson(await readBody(c, deps.bodyLimitBytes)));
    const key = principal.kind === 'key' ? principal.record : null;
    // The route does not admit session keys: an agent must not grade its own rollout.
    if (key === null) throw forbidden('a session key may not give feedback');
    const { role, id: by } = key;
    if (role === 'agent' && body.scorer !== FEEDBACK_SCORER) {
      throw forbidden('an agent may only give feedback: leave out scorer');
    }
    const header = headerOf(c, 'idempotency-key');
    const given = header === undefined ? body.id : validate(RecordId, header, ['idempotency-key']);
    const said = {
      ...targetOf(body, key, headerOf(c, AGENT_HEADER), deps),
      ...{ scorer: body.scorer, scorerVersion: body.scorer_version },
      value: body.value === undefined ? null : Number(body.value),
      ...(body.comment === undefined ? {} : { comment: body.comment }),
      ...(body.demonstration === undefined ? {} : { demonstration: body.demonstration }),
      supersedes: supersededBy(body, key),
    };
    const record: FeedbackRecord = {
      id: `${by}.${given ?? nameOf(said, deps.signingKey)}`,
      ...said,
      by: `key:${by}`,
      at: new Date(deps.now()).toISOString(),
    };
    if (record.id === record.supersedes) {
      throw badRequest('feedback cannot correct itself: give it another id', 'invalid_value', 'id');
    }
    const { outcome, record: stored } = await deps.rewards.write(record);
    if (outcome === 'erased') {
      throw new RequestError('what this feedback is about was erased: nothing is kept of it', {
        status: 410,
        reason: 'session_erased',
      });
    }
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

/** The same for the same content. Keyed: nobody who reads an id can try out what was said before it was redacted. */
function nameOf(said: object, signingKey: Uint8Array): string {
  const hmac = createHmac('sha256', signingKey).update('feedback\n').update(canonicalJson(said));
  return hmac.digest('hex').slice(0, 32);
}

/** The whole id of what is corrected. An agent corrects what was said with its own key; scorers and admins may correct each other. */
function supersededBy(
  { supersedes }: FeedbackRequest,
  { role, id: by }: ApiKeyRecord,
): string | null {
  if (supersedes === undefined) return null;
  if (!WITH_KEY.test(supersedes)) return `${by}.${supersedes}`;
  if (role === 'agent' && !supersedes.startsWith(`${by}.`)) {
    throw forbidden('an agent may only correct feedback that was given with its own key');
  }
  return supersedes;
}

/**
 * What is meant.
 *
 * @param header what AGENT_HEADER says.
 * @throws {RequestError} 403 if it is nothing of the key's.
 */
function targetOf(
  { session, response_id: responseId, decision_id: decisionId, agent: inBody }: FeedbackRequest,
  key: ApiKeyRecord,
  header: string | undefined,
  { signingKey, redaction }: FeedbackDeps,
): { readonly trajectory: string; readonly decision: string | null } {
  const named = inBody ?? header;
  if (session !== undefined) {
    if (key.role === 'agent') {
      const agent = actingAgent(key, named);
      return { trajectory: storedSessionId(redaction, agent, session), decision: null };
    }
    if (key.agents.length > 0) assertInScope(key, agentOfSession(session));
    return { trajectory: storedSessionId(redaction, null, session), decision: null };
  }
  const id = decisionId ?? responseId ?? '';
  const parts = readResponseId(signingKey, id);
  if (parts !== null) {
    const isOurs = key.role !== 'agent' || isLiveSessionOf(parts.agent, parts.session);
    if (!isInScope(key, parts.agent) || !isOurs) {
      throw forbidden(
        'this answer does not belong to a session that the key may have to do with',
        'not_your_session',
      );
    }
    return { trajectory: parts.session, decision: parts.isDecision ? id : null };
  }
  if (decisionId !== undefined) {
    throw badRequest(
      'decision_id is not the id of a decision that this gateway took; an upstream’s id goes into response_id',
      'unknown_response',
      'decision_id',
    );
  }
  // An upstream's own id, as far as anybody can tell: it is joined with the agent's answers when they are read.
  const whose = key.role === 'agent' ? actingAgent(key, named) : named;
  if (whose === undefined || isLikeResponseId(id)) {
    throw badRequest(
      'response_id is not the id of an answer that this gateway gave; if an upstream gave it, name the agent too',
      'unknown_response',
      'response_id',
    );
  }
  const agent = validate(Name, whose, ['agent']);
  assertInScope(key, agent);
  return { trajectory: answerTrajectory(agent, id), decision: null };
}
