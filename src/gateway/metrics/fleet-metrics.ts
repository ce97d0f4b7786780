import type { Metric } from './prometheus-text';

/** How the processes of a gateway are that has several. */
export function fleetMetrics(
  { running, expected }: { readonly running: number; readonly expected: number },
  restarts: number,
): Metric[] {
  const gauge = (name: string, help: string, value: number): Metric => ({
    ...{ name: `ratchet_gateway_${name}`, type: 'gauge', help },
    samples: [{ value }],
  });
  return [
    gauge('processes', 'Processes that serve.', running),
    gauge('processes_expected', 'Processes that shall serve.', expected),
    {
      ...{ name: 'ratchet_gateway_process_restarts_total', type: 'counter' },
      help: 'Processes started in place of ones that ended by themselves.',
      samples: [{ value: restarts }],
    },
  ];
}
