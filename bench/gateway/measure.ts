import type { CallKind } from './calls';
import { requestTemplate, SESSION_MARK } from './calls';
import type { Clients, Load } from './load';
import { createClients } from './load';
import type { Double, GatewayProcess } from './processes';
import { processUsage } from '../support/process-usage';
import { median, quantileOf } from '../support/quantiles';

/** One way of asking. Calls per second stand for an open loop: calls come whether those before were answered or not. */
export interface Scenario {
  readonly kind: CallKind;
  readonly isStream?: boolean;
  readonly clients?: number;
  readonly callsPerSecond?: number;
}

export const SCENARIOS: Readonly<Record<string, Scenario>> = {
  small: { kind: 'small', clients: 64 },
  large: { kind: 'large', clients: 64 },
  at500: { kind: 'small', callsPerSecond: 500 },
  at500Large: { kind: 'large', callsPerSecond: 500 },
  small512: { kind: 'small', clients: 512 },
  large512: { kind: 'large', clients: 512 },
  smallStream: { kind: 'small', clients: 64, isStream: true },
  largeStream: { kind: 'large', clients: 64, isStream: true },
};
/** Before these, a third of the gateway's CPU time goes into compiling its own code. */
const WARM_UP_CALLS = 8_000;

export type Figures = Record<string, number>;

interface Side {
  readonly clients: Clients;
  readonly loads: Load[];
}

/**
 * In rounds that take turns between calling the double directly and through the gateway. CPU times of clients and double are over both
 * kinds of rounds, that of the gateway is of all its processes and has draining in it.
 */
export async function measure(
  double: Double,
  gateway: GatewayProcess,
  { kind, isStream = false, clients = 64, callsPerSecond }: Scenario,
  { seconds, rounds }: { readonly seconds: number; readonly rounds: number },
): Promise<{ readonly figures: Figures; readonly calls: number }> {
  const direct = side(double.port, requestTemplate(kind, isStream, `/${kind}`, []));
  const through = throughGateway(gateway, kind, isStream);
  const load = ({ clients: side }: Side): Promise<Load> =>
    callsPerSecond === undefined
      ? side.closedLoop(clients, { seconds })
      : side.openLoop(callsPerSecond, seconds);
  for (const { clients: side } of [direct, through]) {
    await side.closedLoop(clients, { calls: WARM_UP_CALLS });
  }
  const before = await usages(double, gateway);
  for (let i = 0; i < rounds; i++) {
    for (const one of [direct, through]) one.loads.push(await load(one));
  }
  const after = await usages(double, gateway);
  for (const one of [direct, through]) one.clients.close();

  const [calls, directCalls] = [countOf(through), countOf(direct)];
  const latencies = through.loads.flatMap((load) => load.latencies);
  /** Of each pair of rounds. */
  const added = (q: number): number[] =>
    through.loads.map(
      (load, i) => quantileOf(load.latencies, q) - quantileOf(direct.loads[i]?.latencies ?? [], q),
    );
  return {
    calls: calls + WARM_UP_CALLS,
    figures: {
      callsPerSecond: medianRate(through),
      p50Ms: quantileOf(latencies, 0.5),
      p99Ms: quantileOf(latencies, 0.99),
      addedP50Ms: median(added(0.5)),
      addedP99Ms: median(added(0.99)),
      rssMb: after.gateway.rssMb,
      cpuPerCallMs: (1_000 * (after.gateway.cpuSeconds - before.gateway.cpuSeconds)) / calls,
      clientCpuPerCallMs: (1_000 * (after.clients - before.clients)) / (calls + directCalls),
      doubleCpuPerCallMs: (1_000 * (after.double - before.double)) / (calls + directCalls),
      directCallsPerSecond: medianRate(direct),
    },
  };
}

export function throughGateway(
  { port, key }: GatewayProcess,
  kind: CallKind,
  isStream: boolean,
): Side {
  const headers = [`authorization: Bearer ${key}`, `x-ratchet-session: bench-${SESSION_MARK}`];
  return side(port, requestTemplate(kind, isStream, '/v1', headers));
}

function side(port: number, request: Parameters<typeof createClients>[1]): Side {
  return { clients: createClients(port, request), loads: [] };
}

async function usages(
  double: Double,
  gateway: GatewayProcess,
): Promise<{ gateway: { rssMb: number; cpuSeconds: number }; double: number; clients: number }> {
  const { user, system } = process.cpuUsage();
  const { cpuSeconds } = await processUsage(double.pid);
  return {
    gateway: await gateway.usage(),
    double: cpuSeconds,
    clients: (user + system) / 1_000_000,
  };
}

function countOf({ loads }: Side): number {
  return loads.reduce((sum, { latencies }) => sum + latencies.length, 0);
}

function medianRate({ loads }: Side): number {
  return median(loads.map(({ latencies, seconds }) => latencies.length / seconds));
}
