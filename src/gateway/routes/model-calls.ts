import type { Principal } from '../keys/auth';
import type { CallRecord, CallRecordDeps } from '../recording/call-record';
import { createCallRecord } from '../recording/call-record';
import type { Caller, ModelCallDeps } from '../model-call';
import { callModel } from '../model-call';
import { createForwards, forwardCall } from '../forward-call';
import type { ResolvedPolicy } from '../model-name';
import { modelName, resolveModel } from '../model-name';
import type { Protocol, ProtocolCall } from '../protocols/protocol';
import { readBody } from '../http/read-body';
import type { RelayedCall } from '../relay-answer';
import { relayAnswer } from '../relay-answer';
import { badRequest, forbidden } from '../http/request-error';
import type { Handler } from '../http/route';
import type { GatewayContext } from '../http/gateway-context';
import type { Answer } from '../http/answer';
import { headerOf } from '../http/gateway-context';
import { liveSessionId, liveSessionName, SESSION_HEADER } from '../keys/session-id';
import { ToolsetInterner } from '../toolset-interner';
import type { UpstreamTransport } from '../upstreams/upstream';

export interface ModelCallsDeps extends ModelCallDeps, CallRecordDeps {
  readonly transport: UpstreamTransport;
  readonly bodyLimitBytes: number;
}

/** The header that says that a live call was answered but not recorded. */
const RECORDED_HEADER = 'x-ratchet-recorded';

/**
 * `POST /v1/chat/completions` and its like. Whoever answers is asked once it is recorded that the call came in (where the recorder keeps
 * intents), and the answer ends once its decision is durable. See call-record.ts for what happens where that fails.
 */
export function modelCalls(protocol: Protocol, deps: ModelCallsDeps): Handler<Principal> {
  const interner = new ToolsetInterner();
  const { upstreams } = deps.models;
  const forwards = createForwards(protocol, upstreams);

  return async (c, { principal, requestId, gone }) => {
    const record = createCallRecord(deps, requestId, rolloutOf(principal));
    try {
      const call = protocol.parse(await readBody(c, deps.bodyLimitBytes), interner);
      const { caller, headers } = callerOf(c, principal, call);
      await record.open(caller, call.request.model);
      const { claims, session } = caller;
      const model = await resolveModel(deps.models, call.request.model, session, claims);
      const relay = (to: Pick<RelayedCall, 'call' | 'targets' | 'forwarded'>): Promise<Answer> =>
        relayAnswer(deps, protocol, {
          ...{ caller, record, requestId, signal: gone(), ...to },
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
    if (typeof n === 'number' && n !== 1) {
      throw badRequest(
        'a policy gives one choice per call: expected n = 1',
        'unsupported_value',
        'n',
      );
    }
    const called = await callModel(deps, caller, call, model, forwards);
    if ('patch' in called) {
      const { patch, choice } = called;
      const forwarded = { asked: call, choice };
      return relay({ ...forwardCall(protocol, upstreams, call, patch), forwarded });
    }
    const { id, answer, recorded, atMs } = called;
    if (recorded !== null) await record.decide(recorded);
    record.answered();
    const own = { ...answer, id, atMs, model: modelName(model.policy, model.checkpoint) };
    return call.isStream
      ? { events: all(protocol.renderStream(call, own)) }
      : { body: protocol.render(call, own) };
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
  { sessionNames }: ProtocolCall,
): { readonly caller: Caller; readonly headers: Readonly<Record<string, string>> } {
  if (principal.kind === 'session') {
    const { claims } = principal;
    return { caller: { agent: claims.agent, session: claims.session, claims }, headers: {} };
  }
  const { agent } = principal.record;
  if (agent === null) throw forbidden('model calls belong to an agent: use a key of role agent');
  const name = liveSessionName([headerOf(c, SESSION_HEADER), ...sessionNames]);
  // A name from the body is free text, which a header cannot always hold; the client knows it anyway.
  const headers = /^[\x21-\x7e]+$/.test(name) ? { [SESSION_HEADER]: name } : {};
  return { caller: { agent, session: liveSessionId(agent, name), claims: null }, headers };
}
