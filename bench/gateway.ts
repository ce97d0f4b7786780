import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import type { Figures } from './gateway/measure';
import { measure, SCENARIOS, throughGateway } from './gateway/measure';
import { policyCalls } from './gateway/policy-calls';
import type { Double, GatewayProcess } from './gateway/processes';
import { startDouble, startGateway } from './gateway/processes';

const DRAIN_MS = 60_000;

/**
 * What the gateway costs in front of an upstream that answers at once, started as a user starts it, with every call durable. The upstream's
 * double, the gateway and the clients are processes of their own on one machine. Each scenario takes turns between calling the double
 * directly and through the gateway, so that what else the machine does meets both: `added…` are differences of quantiles within a pair of
 * rounds, the median over the pairs; `directCallsPerSecond` is the most that double and clients can do.
 *
 * `--only a,b` runs some of the scenarios; `--calls <n>` asks n small calls instead and says how memory grew, by tenths; `--seconds` and
 * `--rounds` say how long a scenario lasts. What the gateway is told besides is in its own variables, RATCHET_….
 *
 * @throws {RangeError} if a call was not recorded, or is not in the store at the end.
 */
export async function run(args: readonly string[] = []): Promise<Record<string, unknown>> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      only: { type: 'string', default: [...Object.keys(SCENARIOS), POLICY].join() },
      calls: { type: 'string' },
      seconds: { type: 'string', default: '2' },
      rounds: { type: 'string', default: '5' },
    },
  });
  const names = values.only.split(',');
  const unknown = names.find((name) => !(name in SCENARIOS) && name !== POLICY);
  if (unknown !== undefined) {
    const known = [...Object.keys(SCENARIOS), POLICY].join(', ');
    throw new RangeError(`unknown scenario: expected ${known}; got ${unknown}`);
  }
  const rounds = { seconds: Number(values.seconds), rounds: Number(values.rounds) };
  const double = await startDouble();
  try {
    const gateway = await startGateway(double);
    try {
      if (values.calls !== undefined) {
        return { memory: await memory(gateway, Number(values.calls)) };
      }
      const figures = await scenarios(double, gateway, names, rounds);
      return names.includes(POLICY) ? { ...figures, [POLICY]: await policyCalls() } : figures;
    } finally {
      await gateway.stop();
    }
  } finally {
    double.stop();
  }
}

/** A policy of ours instead of an upstream: policy-calls.ts. */
const POLICY = 'policy';

async function scenarios(
  double: Double,
  gateway: GatewayProcess,
  names: readonly string[],
  rounds: { readonly seconds: number; readonly rounds: number },
): Promise<Record<string, Figures>> {
  const figures: Record<string, Figures> = {};
  let calls = 0;
  for (const name of names) {
    const scenario = SCENARIOS[name];
    if (scenario === undefined) continue;
    const measured = await measure(double, gateway, scenario, rounds);
    calls += measured.calls;
    figures[name] = measured.figures;
  }
  await assertDrained(gateway, calls);
  return figures;
}

/** Small calls through the gateway, `calls` of them, and its memory after each tenth. */
async function memory(gateway: GatewayProcess, calls: number): Promise<Record<string, unknown>> {
  const { clients } = throughGateway(gateway, 'small', false);
  const rssMb: number[] = [];
  let seconds = 0;
  for (let tenth = 0; tenth < 10; tenth++) {
    const load = await clients.closedLoop(64, { calls: Math.ceil(calls / 10) });
    seconds += load.seconds;
    rssMb.push((await gateway.usage()).rssMb);
  }
  clients.close();
  await assertDrained(gateway, Math.ceil(calls / 10) * 10);
  return { calls, callsPerSecond: calls / seconds, rssMbAtTenths: rssMb };
}

/** Every call is in the store, once. */
async function assertDrained(gateway: GatewayProcess, calls: number): Promise<void> {
  const until = Date.now() + DRAIN_MS;
  let drained = 0;
  while (drained < calls && Date.now() < until) {
    await sleep(200);
    drained = await gateway.metric('drain_decisions_total');
  }
  if (drained === calls) return;
  throw new RangeError(`expected ${calls} decisions in the store, got ${drained}`);
}
