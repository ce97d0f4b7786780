import type { CallObserver } from '../call-observer';
import type { TracedRequest } from '../trace-call';
import type { Principal } from '../keys/auth';
import type { CallRecord, CallRecordDeps } from '../recording/call-record';
import { createCallRecord } from '../recording/call-record';
import type { Redaction } from '../recording/redaction';
import type { Caller, ModelCallDeps } from '../model-call';
import { callModel } from '../model-call';
import { createForwards, forwardCall } from '../forward-call';
import type { ResolvedPolicy } from '../model-name';
import { modelName, resolveModel } from '../model-name';
import type { Protocol, ProtocolCall } from '../protocols/protocol';
import { readBody } from '../http/read-body';
import type { RelayedCall } from '../relay-answer';
import { relayAnswer } from '../relay-answer';
import { badRequest, RequestError } from '../http/request-error';
import type { Handler } from '../http/route';
import type { GatewayContext } from '../http/gateway-context';
import type { Answer } from '../http/answer';
import { headerOf } from '../http/gateway-context';
import { actingAgent, AGENT_HEADER } from '../keys/agent-scope';
import { liveSessionId, liveSessionName, SESSION_HEADER } from '../keys/session-id';
import { ToolsetInterner } from '../toolset-interner';
import type { AgentLimiter } from '../limits/agent-limiter';
import { assertNotPaused, type Pauses } from '../pauses';
import type { Upstreams } from '../upstreams/upstreams';

export interface ModelCallsDeps extends ModelCallDeps, CallRecordDeps {
  readonly upstreams: Upstreams;
  readonly limiter: AgentLimiter;
  readonly pauses: Pauses;
  readonly bodyLimitBytes: number;
  readonly redaction: Redaction;
  /** A call has come in. */
  readonly observe: (request: TracedRequest) => CallObserver;
}

/** The header that says that a live call was answered but not recorded. */
const RECORDED_HEADER = 'x-ratchet-recorded';

/**
 * `POST /v1/chat/completions` and its like. Whoever answers is asked once it is recorded that the call came in (where the recorder keeps
 * intents), and the answer ends once its decision is durable. See call-record.ts for what happens where that fails.
 */
export function modelCalls(protocol: Protocol, deps: ModelCallsDeps): Handler<Principal> {
  const interner = new ToolsetInterner(protocol.readTools);
  const { upstreams } = deps.models;
  const forwards = createForwards(protocol, upstreams, deps.pauses);

  return async (c, { principal, requestId, gone }) => {
    const observer = deps.observe({
      ...{ protocol, requestId },
      header: (name) => headerOf(c, name),
    });
    const record = createCallRecord(deps, requestId, rolloutOf(principal), observer);
    try {
      const call = protocol.parse(await readBody(c, deps.bodyLimitBytes), interner);
      const { caller, headers } = callerOf(c, principal, call, deps.redaction);
      const isKnown = deps.models.upstreams.targets(call.request.model) !== null;
      observer.called(caller.agent, isKnown ? call.request.model : null, caller.session);
      assertNotPaused(deps.pauses, 'agent', caller.agent);
      assertNotPaused(deps.pauses, 'model', call.request.model);
      await record.open(caller, call.request.model);
      const { claims, session } = caller;
      const model = await resolveModel(deps.models, call.request.model, session, claims);
      if (model.kind === 'policy') observer.byPolicy(model.policy);
      const relay = (to: Pick<RelayedCall, 'call' | 'targets' | 'forwarded'>): Promise<Answer> =>
        relayAnswer(deps, protocol, {
          ...to,
          caller,
          record,
          observer,
          requestId,
          signal: gone(),
          header: (name) => headerOf(c, name),
        });
      const answer =
        model.kind === 'policy'
          ? await answerByPolicy(caller, call, model, record, relay)
          : await relay({ call, targets: model.targets });
      const recorded = record.isRecorded() ? {} : { [RECORDED_HEADER]: 'false' };
      return { ...answer, headers: { ...headers, ...answer.headers, ...recorded } };
    } catch (error) {
      record.failed(error);
      throw error;
    }
  };

  async function answerByPolicy(
    caller: Caller,
    call: ProtocolCall,
    model: ResolvedPolicy,
    record: CallRecord,
    relay: (to: Pick<RelayedCall, 'call' | 'targets' | 'forwarded'>) => Promise<Answer>,
  ): Promise<Answer> {
    const { n } = call.request;
    const { render, renderStream } = protocol;
    if (render === undefined || renderStream === undefined) {
      const message = `no policy answers ${protocol.path}: expected the model of an upstream`;
      throw badRequest(message, 'unsupported_value', 'model');
    }
    if (call.previousId !== null || call.conversationId !== null) {
      const { notHeld = { status: 400, reason: 'unsupported_value' } } = protocol;
      const message = 'a policy holds no conversations: send all messages with each call';
      throw new RequestError(message, notHeld);
    }
    if (typeof n === 'number' && n !== 1) {
      throw badRequest(
        'a policy gives one choice per call: expected n = 1',
        'unsupported_value',
        'n',
      );
    }
    const called = await callModel(deps, caller, call, model, {
      prefix: protocol.idPrefix,
      forwards,
    });
    if ('patch' in called) {
      const { patch, choice } = called;
      const forwarded = { asked: call, choice };
      return relay({ ...forwardCall(protocol, upstreams, call, patch), forwarded });
    }
    const { id, answer, recorded, atMs } = called;
    if (recorded !== null) await record.decide(recorded);
    record.answered();
    const { sampled } = answer;
    const own = {
      ...{ ...answer, id, atMs, model: modelName(model.policy, model.checkpoint) },
      tokens: sampled?.kind === 'text' ? sampled.tokens : null,
    };
    return call.isStream ? { events: all(renderStream(call, own)) } : { body: render(call, own) };
  }
}

async function* all(events: readonly string[]): AsyncGenerator<string> {
  yield events.join('');
}

function rolloutOf(principal: Principal): { session: string; agent: string } | null {
  return principal.kind === 'session' ? principal.claims : null;
}

/** In whose name the call is made, and what its client is told of that. */
function callerOf(
  c: GatewayContext,
  principal: Principal,
  { sessionNames, request }: ProtocolCall,
  redaction: Redaction,
): { readonly caller: Caller; readonly headers: Readonly<Record<string, string>> } {
  if (principal.kind === 'session') {
    const { claims } = principal;
    const { agent, session } = claims;
    return { caller: { agent, session, isNamed: true, claims }, headers: {} };
  }
  const agent = actingAgent(principal.record, headerOf(c, AGENT_HEADER));
  const { name, isNamed } = liveSessionName([headerOf(c, SESSION_HEADER), ...sessionNames]);
  // A name from the body is free text, which a header cannot always hold; the client knows it anyway.
  const headers = /^[\x21-\x7e]+$/.test(name) ? { [SESSION_HEADER]: name } : {};
  const session = liveSessionId(agent, redaction.sessionName(agent, name));
  return { caller: { agent, session, isNamed, claims: null, ...userOf(request) }, headers };
}

/** Who uses the agent, in the words of OpenAI's APIs or of Anthropic's. */
function userOf({ user, safety_identifier: safetyIdentifier, metadata }: ProtocolCall['request']): {
  readonly user?: string;
} {
  const named = [safetyIdentifier, user, metadata?.['user_id']].find(
    (name) => typeof name === 'string' && name !== '',
  );
  return typeof named === 'string' ? { user: named } : {};
}
