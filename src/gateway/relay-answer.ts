import { describeError } from '../errors';
import type { CallObserver } from './call-observer';
import type { CallRecord, CallRecordDeps } from './recording/call-record';
import { toErrorAnswer } from './http/error-response';
import { CLIENT_GONE, clientGone } from './http/request-error';
import type { Caller, ModelCallDeps, PolicyChoiceOf } from './model-call';
import { describeUpstreamCall, describeUse } from './model-call';
import type { Protocol, ProtocolCall } from './protocols/protocol';
import type { Answer } from './http/answer';
import { readSse } from './http/sse';
import type { AgentLimiter } from './limits/agent-limiter';
import { usedBy } from './limits/used-by';
import type { Pauses } from './pauses';
import { answerHeaders } from './upstreams/answer-headers';
import { askUpstream } from './upstreams/ask-upstream';
import { contentType, type AskedUpstream } from './upstreams/attempt';
import type { ModelTarget } from './upstreams/model-table';
import { stickyKey } from './upstreams/sticky-key';
import { UpstreamError } from './upstreams/upstream';
import type { Upstreams } from './upstreams/upstreams';

export interface RelayDeps
  extends Pick<ModelCallDeps, 'signingKey' | 'now'>, Pick<CallRecordDeps, 'log'> {
  readonly upstreams: Upstreams;
  readonly limiter: AgentLimiter;
  readonly pauses: Pauses;
}

export interface RelayedCall {
  readonly caller: Caller;
  /** As the upstream is asked. */
  readonly call: ProtocolCall;
  /** As the agent asked, and who chose to have it answered so; left out where nobody changed anything. */
  readonly forwarded?: { readonly asked: ProtocolCall; readonly choice: PolicyChoiceOf };
  readonly record: CallRecord;
  readonly observer: CallObserver;
  readonly requestId: string;
  readonly targets: readonly [ModelTarget, ...ModelTarget[]];
  /** A header of the agent's request. */
  readonly header: (name: string) => string | undefined;
  /** Aborts when the client has gone. */
  readonly signal: AbortSignal;
}

/** Said in a stream whose headers are out: a comment, which every reader of streams skips. */
const NOT_RECORDED = ': x-ratchet-recorded: false\n\n';

/**
 * Lets an upstream answer, and hands its answer on: the bytes as they came but for what we asked for besides. A stream reaches the client
 * as it comes, up to the event that makes it whole, which waits for the decision to be durable.
 *
 * @throws {UpstreamError}
 * @throws {RequestError} 429 if the agent has reached a limit.
 */
export async function relayAnswer(
  deps: RelayDeps,
  protocol: Protocol,
  relayed: RelayedCall,
): Promise<Answer> {
  try {
    return await relay(deps, protocol, relayed);
  } catch (error) {
    // The upstream was cut short by us, and is not to blame.
    throw relayed.signal.aborted ? clientGone() : error;
  }
}

async function relay(deps: RelayDeps, protocol: Protocol, relayed: RelayedCall): Promise<Answer> {
  const { caller, call, record, observer, requestId, signal } = relayed;
  const startedAt = performance.now();
  deps.limiter.admit(caller.agent);
  const asked = await askUpstream(deps.upstreams, protocol, call, relayed.targets, {
    ...{
      header: relayed.header,
      more: observer.upstreamHeaders,
      signal,
      stickyKey: stickyKey(caller, call),
      pauses: deps.pauses,
    },
    onRetry(error) {
      const message = 'an upstream gave no answer, and is asked again or another one is';
      deps.log({ level: 'warn', message, requestId, error });
    },
  });
  const headers = answerHeaders(asked.response);
  if (asked.kind === 'refused') return refusal(asked, record, headers);
  const { target, reader } = asked;

  const decide = async (): Promise<void> => {
    const whole = reader.answer();
    if (whole === null)
      throw new UpstreamError('cut', BROKEN_OFF, { upstream: target.upstream.name });
    const latencyMs = performance.now() - startedAt;
    const { asked: from = call, choice = null } = relayed.forwarded ?? {};
    const [output, ...others] = whole.outputs;
    if (output === undefined) {
      const time = { latencyMs, atMs: deps.now() };
      await record.use(describeUse(requestId, protocol.name, caller, from, target, whole, time));
      return;
    }
    const said = { ...whole, outputs: [output, ...others] as const };
    const measured = { latencyMs, choice };
    await record.decide(describeUpstreamCall(deps, caller, from, target, said, measured));
  };

  const charge = (): void => deps.limiter.charge(caller.agent, usedBy(call, target, reader));
  const failed = (): void =>
    record.refused(502, `the upstream ${target.upstream.name} said that it failed`);

  if (asked.kind === 'stream') return { events: relayEvents(asked.body), headers };
  charge();
  const answer = { text: asked.text, contentType: contentType(asked.response), headers };
  if (reader.hasFailed()) {
    failed();
    return answer;
  }
  await decide();
  record.answered();
  return answer;

  async function* relayEvents(body: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
    let held = '';
    observer.streams();
    try {
      try {
        for await (const events of readSse(body)) {
          let shown = '';
          let isLast = false;
          for (const event of events) {
            const relay = reader.event(event);
            if (relay.isHeld) held += relay.text;
            else shown += relay.text;
            isLast ||= relay.isLast;
          }
          if (shown !== '') yield shown;
          if (isLast) break;
        }
      } catch (error) {
        // Else all that matters has come.
        if (reader.answer() === null && !reader.hasFailed()) throw error;
      }
      if (reader.hasFailed()) {
        failed();
        yield held;
        return;
      }
      await decide();
      record.answered();
      yield record.isRecorded() ? held : NOT_RECORDED + held;
    } catch (error) {
      if (signal.aborted) return; // see below
      record.failed(error);
      const message = 'a stream broke off';
      deps.log({ level: 'warn', message, requestId, error: describeError(error) });
      yield protocol.errorEvent(toErrorAnswer(error, requestId), requestId);
    } finally {
      // Changes nothing once the call is over. Where nobody reads on, this is where the generator ends.
      record.refused(CLIENT_GONE, 'the client went before the answer was whole');
      charge();
    }
  }
}

const BROKEN_OFF = 'the upstream ended its answer before it was whole';

/** Error details must survive: a client that is told to wait knows for how long. Of our own key's troubles the agent learns nothing. */
function refusal(
  { target, response, text }: Extract<AskedUpstream, { readonly kind: 'refused' }>,
  record: CallRecord,
  headers: Readonly<Record<string, string>>,
): Answer {
  const { status } = response;
  const { name } = target.upstream;
  if (status < 400 || status === 401 || status === 403) {
    throw new UpstreamError(
      'garbage',
      `the upstream refused us: expected an answer, got HTTP status ${status}; is its key right?`,
      { upstream: name },
    );
  }
  record.refused(status, `the upstream ${name} answered ${status}`);
  return { status, text, contentType: contentType(response), headers };
}
