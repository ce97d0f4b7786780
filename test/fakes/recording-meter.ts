import type { Meter } from '../../src/ports/meter';

export interface RecordingMeter extends Meter {
  /** Sums of counters, and how often histograms were fed, by `metric{label=value,…}`. */
  readonly counts: ReadonlyMap<string, number>;
  readonly gauges: ReadonlyMap<string, number>;
}

export function createRecordingMeter(): RecordingMeter {
  const counts = new Map<string, number>();
  const gauges = new Map<string, number>();
  const nameOf = (metric: string, labels: Readonly<Record<string, string>>): string => {
    const shown = Object.entries(labels).map(([name, value]) => `${name}=${value}`);
    return shown.length === 0 ? metric : `${metric}{${shown.sort().join(',')}}`;
  };
  const add = (name: string, by: number): void =>
    void counts.set(name, (counts.get(name) ?? 0) + by);
  return {
    counts,
    gauges,
    add: (metric, by, labels) => add(nameOf(metric, labels), by),
    observe: (metric, _, labels) => add(nameOf(metric, labels), 1),
    set: (metric, value, labels) => void gauges.set(nameOf(metric, labels), value),
  };
}
