import type { Attribute, Span, Tracer } from '../ports/tracer';
import type { Answered, CallObserver } from './call-observer';
import { modelName } from './model-name';
import type { Protocol } from './protocols/protocol';

export interface TracedRequest {
  readonly protocol: Pick<Protocol, 'name'>;
  /** That its client is told. */
  readonly requestId: string;
  readonly header: (name: string) => string | undefined;
}

/**
 * One span per model call, in the words of OpenTelemetry's conventions for generative AI
 * (https://github.com/open-telemetry/semantic-conventions/tree/v1.37.0/docs/gen-ai), with the decision's id: from a trace to what is recorded. It
 * has no content: no messages, no tools, no user.
 *
 * @param clock milliseconds from any start.
 */
export function traceCall(
  tracer: Tracer,
  { protocol, requestId, header }: TracedRequest,
  clock: () => number = () => performance.now(),
): CallObserver {
  const operation = protocol.name === 'embeddings' ? 'embeddings' : 'chat';
  const span = tracer.start(operation, header);
  const startedAt = clock();
  span.set({
    'gen_ai.operation.name': operation,
    'gen_ai.provider.name': protocol.name === 'messages' ? 'anthropic' : 'openai',
    'ratchet.protocol': protocol.name,
    'ratchet.request.id': requestId,
  });
  const asks = (model: string): void => {
    span.rename(`${operation} ${model}`);
    span.set({ 'gen_ai.request.model': model });
  };
  return {
    upstreamHeaders: span.headers,
    called(agent, model, session) {
      span.set({ 'gen_ai.agent.name': agent, 'gen_ai.conversation.id': session });
      if (model !== null) asks(model);
    },
    byPolicy(policy) {
      asks(modelName(policy));
      span.set({ 'gen_ai.provider.name': 'ratchet', 'ratchet.policy': policy });
    },
    streams() {
      const seconds = (clock() - startedAt) / 1_000;
      span.set({
        'gen_ai.request.stream': true,
        'gen_ai.response.time_to_first_chunk': seconds,
      });
    },
    decided: (answered, isRecorded) =>
      span.set({ ...attributesOf(answered), 'ratchet.recorded': isRecorded }),
    ended: (status) => end(span, status),
  };
}

function attributesOf(answered: Answered): Record<string, Attribute> {
  const { usage, costMicros, upstream } = answered;
  const attributes: Record<string, Attribute> = {};
  if (usage !== null) {
    attributes['gen_ai.usage.input_tokens'] = usage.promptTokens;
    attributes['gen_ai.usage.output_tokens'] = usage.completionTokens;
    if (usage.cacheReadTokens !== undefined) {
      attributes['gen_ai.usage.cache_read.input_tokens'] = usage.cacheReadTokens;
    }
  }
  if (costMicros !== undefined) attributes['ratchet.cost'] = costMicros / 1e6;
  if (upstream !== undefined) {
    attributes['ratchet.upstream'] = upstream.name;
    attributes['gen_ai.response.model'] = upstream.model;
  }
  if (!('sampled' in answered)) return attributes; // nothing was decided
  const { id, sampled, checkpoint } = answered;
  attributes['ratchet.decision.id'] = id;
  attributes['gen_ai.response.id'] = answered.upstream?.responseId ?? id;
  if (checkpoint !== null) attributes['ratchet.checkpoint'] = checkpoint;
  if (sampled.kind === 'arm') attributes['ratchet.arm'] = sampled.arm;
  else if (sampled.finishReason !== null) {
    attributes['gen_ai.response.finish_reasons'] = [sampled.finishReason];
  }
  return attributes;
}

/** A server's span is an error where the server is at fault: what a client did wrong is told apart by its status. */
function end(span: Span, status: number): void {
  span.set({ 'http.response.status_code': status });
  if (status >= 400) span.set({ 'error.type': String(status) });
  if (status >= 500) span.end(`answered ${status}`);
  else span.end();
}

/** Tells both. */
export function observeBoth(a: CallObserver, b: CallObserver): CallObserver {
  return {
    upstreamHeaders: { ...a.upstreamHeaders, ...b.upstreamHeaders },
    called(...call) {
      a.called(...call);
      b.called(...call);
    },
    byPolicy(policy) {
      a.byPolicy(policy);
      b.byPolicy(policy);
    },
    streams() {
      a.streams();
      b.streams();
    },
    decided(...answer) {
      a.decided(...answer);
      b.decided(...answer);
    },
    ended(status) {
      a.ended(status);
      b.ended(status);
    },
  };
}
