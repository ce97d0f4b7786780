import { describeError } from '../errors';
import type { CallRecord, CallRecordDeps } from './recording/call-record';
import { toErrorAnswer } from './http/error-response';
import { CLIENT_GONE, clientGone } from './http/request-error';
import type { Caller, ModelCallDeps, PolicyChoiceOf } from './model-call';
import { describeUpstreamCall } from './model-call';
import type { Protocol, ProtocolCall } from './protocols/protocol';
import type { Answer } from './http/answer';
import { readSse } from './http/sse';
import { answerHeaders } from './upstreams/answer-headers';
import { askUpstream, readAnswer, type AskedUpstream } from './upstreams/ask-upstream';
import type { ModelTarget } from './upstreams/model-table';
import { UpstreamError, type UpstreamTransport } from './upstreams/upstream';

export interface RelayDeps
  extends Pick<ModelCallDeps, 'signingKey' | 'now'>, Pick<CallRecordDeps, 'log'> {
  readonly transport: UpstreamTransport;
}

export interface RelayedCall {
  readonly caller: Caller;
  /** As the upstream is asked. */
  readonly call: ProtocolCall;
  /** As the agent asked, and who chose to have it answered so; left out where nobody changed anything. */
  readonly forwarded?: { readonly asked: ProtocolCall; readonly choice: PolicyChoiceOf };
  readonly record: CallRecord;
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
  const { caller, call, record, requestId, signal } = relayed;
  const startedAt = performance.now();
  const asked = await askUpstream(deps.transport, protocol, call, relayed.targets, relayed);
  const { target, response, reader } = asked;
  const headers = answerHeaders(response);
  const contentType = String(response.headers['content-type'] ?? 'application/json');

  const decide = async (): Promise<void> => {
    const answer = reader.answer();
    if (answer === null)
      throw new UpstreamError('cut', BROKEN_OFF, { upstream: target.upstream.name });
    const latencyMs = performance.now() - startedAt;
    const { asked: from = call, choice = null } = relayed.forwarded ?? {};
    const measured = { latencyMs, choice };
    await record.decide(describeUpstreamCall(deps, caller, from, target, answer, measured));
  };

  if (response.status >= 300) return refusal(asked, record, contentType, headers);
  if (call.isStream && contentType.startsWith('text/event-stream')) {
    return { events: relayEvents(), headers };
  }
  const text = reader.whole(await readAnswer(asked));
  await decide();
  record.answered();
  return { text, contentType, headers };

  async function* relayEvents(): AsyncGenerator<string> {
    let held = '';
    try {
      try {
        for await (const events of readSse(response.body)) {
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
        if (reader.answer() === null) throw error; // else all that matters has come
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
    }
  }
}

const BROKEN_OFF = 'the upstream ended its answer before it was whole';

/** Error details must survive: a client that is told to wait knows for how long. Of our own key's troubles the agent learns nothing. */
async function refusal(
  asked: AskedUpstream,
  record: CallRecord,
  contentType: string,
  headers: Readonly<Record<string, string>>,
): Promise<Answer> {
  const { status } = asked.response;
  const text = await readAnswer(asked);
  if (status < 400 || status === 401 || status === 403) {
    throw new UpstreamError(
      'garbage',
      `the upstream refused us: expected an answer, got HTTP status ${status}; is its key right?`,
      { upstream: asked.target.upstream.name },
    );
  }
  record.refused(status, `the upstream ${asked.target.upstream.name} answered ${status}`);
  return { status, text, contentType, headers };
}
