import { Hono } from 'hono';
import { describeError } from '../errors';
import type { PolicyServer } from '../policies/policy-server';
import type { ApiKeyStore } from './keys/api-keys';
import { createAuthenticate } from './keys/auth';
import type { KeyUseStore } from './keys/key-use';
import { createKeyUse } from './keys/key-use';
import type { GatewayCounters } from './metrics/counters';
import { createCounters } from './metrics/counters';
import { createCallMetrics } from './metrics/call-metrics';
import type { Fleet } from './fleet';
import { ALONE } from './fleet';
import type { SpoolStatus } from './metrics/gateway-metrics';
import { gatewayMetrics } from './metrics/gateway-metrics';
import { upstreamMetrics } from './metrics/upstream-metrics';
import type { Recorder } from './recording/recorder';
import type { Redaction } from './recording/redaction';
import { NO_REDACTION, redactRecorder, redactRewards } from './recording/redaction';
import { RequestError } from './http/request-error';
import type { RewardWriter } from './recording/reward-writer';
import type { Models } from './model-name';
import { chat } from './protocols/chat/chat';
import { embeddings } from './protocols/embeddings/embeddings';
import { countTokens } from './protocols/messages/count-tokens';
import { messages } from './protocols/messages/messages';
import { responses } from './protocols/responses/responses';
import type { LogEntry } from './http/route';
import type { GatewayEnv } from './http/gateway-context';
import { createRoutes } from './http/route';
import { routedPath } from './http/session-path';
import { postFeedback } from './routes/feedback';
import { health, readiness } from './routes/health';
import { metrics } from './routes/metrics';
import { modelCalls, type ModelCallsDeps } from './routes/model-calls';
import {
  anthropicModels,
  getModel,
  isAnthropicClient,
  listModels,
  openAiModels,
} from './routes/models';
import { listUpstreams } from './routes/upstreams';
import { postTraces } from './routes/traces';
import { otlpError } from './traces/otlp-answer';
import { openSession } from './routes/sessions';
import { storedResponses } from './routes/stored-responses';
import type { RoutingReader } from './routing-reader';
import type { AgentLimiter } from './limits/agent-limiter';
import { NO_LIMITS } from './limits/agent-limiter';
import type { Pauses } from './pauses';
import { NO_PAUSES } from './pauses';
import type { Tracer } from '../ports/tracer';
import { observeBoth, traceCall } from './trace-call';
import type { Upstreams } from './upstreams/upstreams';
import { NO_UPSTREAMS } from './upstreams/upstreams';

export interface GatewayDeps {
  readonly policies: PolicyServer;
  readonly routing: RoutingReader;
  /** @default none */
  readonly upstreams?: Upstreams;
  /** What agents may ask of upstreams. @default whatever they like */
  readonly limiter?: AgentLimiter;
  /** What is held back. @default nothing */
  readonly pauses?: Pauses;
  readonly recorder: Recorder;
  /** What is done to everything that is written. @default nothing */
  readonly redaction?: Redaction;
  /** 32 bytes, the same for every gateway that shall accept the others' session keys and response ids. */
  readonly signingKey: Uint8Array;
  /** null lets in nobody but sessions: the gateway of a rollout worker. */
  readonly apiKeys: ApiKeyStore | null;
  /** Where it is written when keys were last used. @default nowhere */
  readonly keyUse?: KeyUseStore;
  /** null does not offer `/v1/feedback`. */
  readonly rewards: RewardWriter | null;
  /** @default 4 MiB */
  readonly bodyLimitBytes?: number;
  /** Of what comes to `/v1/traces`, packed or unpacked: a batch holds hundreds of conversations. @default 16 MiB */
  readonly tracesLimitBytes?: number;
  /** Milliseconds since 1970. */
  readonly now?: () => number;
  readonly counters?: GatewayCounters;
  /** How the spool is that live calls are recorded in; left out where there is none. */
  readonly spoolStatus?: () => SpoolStatus;
  /** Where a span of each model call goes. @default nowhere, at no cost */
  readonly tracer?: Tracer | null;
  /** The processes that share the port. @default this one alone */
  readonly fleet?: Fleet;
  /** Told of what failed on our side. Entries hold no keys and no bodies. */
  readonly log?: (entry: LogEntry) => void;
}

export type Gateway = Hono<GatewayEnv>;

/** The HTTP app. It listens nowhere (see http/serve.ts) and keeps nothing but caches, so any number of them can stand side by side. */
export function createGateway({
  bodyLimitBytes = 4 * 1024 * 1024,
  tracesLimitBytes = 16 * 1024 * 1024,
  now = Date.now,
  counters = createCounters(),
  log = () => undefined,
  upstreams = NO_UPSTREAMS,
  limiter = NO_LIMITS,
  pauses = NO_PAUSES,
  redaction = NO_REDACTION,
  tracer = null,
  fleet = ALONE,
  ...deps
}: GatewayDeps): Gateway {
  const { signingKey, routing, spoolStatus } = deps;
  // Nobody below has another way to write.
  const recorder = redactRecorder(deps.recorder, redaction);
  const rewards = deps.rewards === null ? null : redactRewards(deps.rewards, redaction);
  const models: Models = { routing, upstreams: upstreams.models };
  const authenticate = createAuthenticate(signingKey, deps.apiKeys, now, keyUse(deps.keyUse, log));
  const calls = createCallMetrics();
  const observe: ModelCallsDeps['observe'] =
    tracer === null
      ? calls.begin
      : (request) => observeBoth(calls.begin(), traceCall(tracer, request));
  const routes = createRoutes({ authenticate, counters, log });

  const report = fleet.join(() => [
    ...gatewayMetrics(counters, spoolStatus?.() ?? null, now(), redaction.counts()),
    ...calls.metrics(),
    ...upstreamMetrics(upstreams),
  ]);

  const app = new Hono<GatewayEnv>({ getPath: routedPath });
  for (const protocol of [chat, responses, messages, countTokens, embeddings]) {
    app.post(
      `/v1${protocol.path}`,
      routes.admit(
        ['session', 'agent'],
        modelCalls(protocol, {
          ...{ ...deps, recorder, redaction, models, bodyLimitBytes, now, counters, log },
          ...{ upstreams, limiter, pauses, observe },
        }),
        protocol,
      ),
    );
  }
  const noResponse = routes.admit(['session', 'agent'], storedResponses());
  app.get('/v1/responses/:id', noResponse);
  app.delete('/v1/responses/:id', noResponse);
  app.get('/v1/responses/:id/input_items', noResponse);
  app.post('/v1/responses/:id/cancel', noResponse);
  const anyone = ['session', 'agent', 'runner', 'scorer', 'approver', 'admin'] as const;
  for (const [path, handler] of [
    ['/v1/models', listModels],
    ['/v1/models/:model{.+}', getModel],
  ] as const) {
    const usual = routes.admit(anyone, handler(models, openAiModels));
    const anthropic = routes.admit(anyone, handler(models, anthropicModels), messages);
    app.get(path, (c) => (isAnthropicClient(c) ? anthropic(c) : usual(c)));
  }
  app.get('/v1/upstreams', routes.admit(['admin'], listUpstreams(upstreams, pauses)));
  app.post(
    '/v1/sessions',
    routes.admit(['runner', 'admin'], openSession({ signingKey, bodyLimitBytes, redaction, now })),
  );
  if (rewards !== null) {
    app.post(
      '/v1/feedback',
      routes.admit(
        ['agent', 'scorer', 'admin'],
        postFeedback({ rewards, redaction, signingKey, bodyLimitBytes, now }),
      ),
    );
  }
  app.post(
    '/v1/traces',
    routes.admit(
      ['agent'],
      postTraces({ recorder, redaction, counters, signingKey, tracesLimitBytes, now, log }),
      { errorBody: ({ body }) => body, errorAnswer: otlpError },
    ),
  );
  app.get('/healthz', routes.open(health()));
  app.get('/readyz', routes.open(readiness({ routing, spoolStatus, report })));
  app.get('/metrics', metrics(report));

  app.notFound((c) => {
    const message = `unknown route: ${c.req.method} ${c.req.path.slice(0, 200)}`;
    return routes.fail(c, new RequestError(message, { status: 404, reason: 'unknown_route' }));
  });
  app.onError((error, c) => routes.fail(c, error));
  return app;
}

function keyUse(
  store: KeyUseStore | undefined,
  log: (entry: LogEntry) => void,
): (id: string, nowMs: number) => void {
  if (store === undefined) return () => undefined;
  return createKeyUse(store, (error) => {
    const message = 'when a key was last used is not shown';
    log({ level: 'warn', message, requestId: '-', error: describeError(error) });
  });
}
