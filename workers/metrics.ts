import type { MetricCounter, MetricGauge, MetricHistogram, MetricMeter } from '@temporalio/common';
import type { RuntimeOptions } from '@temporalio/worker';
import { METRICS, type Meter, type MetricId } from '../src/ports/meter';

type MetricsOptions = NonNullable<NonNullable<RuntimeOptions['telemetryOptions']>['metrics']>;

/** The SDK's Prometheus endpoint: its own metrics, as Temporal's dashboards know them, and ours beside them. */
export function prometheus(bindAddress: string): MetricsOptions {
  const buckets = Object.values(METRICS).flatMap((metric): [string, number[]][] =>
    'buckets' in metric ? [[metric.name, [...metric.buckets]]] : [],
  );
  return {
    attachServiceName: false,
    prometheus: {
      bindAddress,
      useSecondsForDurations: true,
      histogramBucketOverrides: Object.fromEntries(buckets),
    },
  };
}

/** Our metrics through the SDK's meter; one that exports nothing where metrics are off. */
export function createSdkMeter(sdk: MetricMeter): Meter {
  const instruments = new Map<MetricId, MetricCounter | MetricHistogram | MetricGauge>();
  const instrument = <T>(
    id: MetricId,
    create: () => T & (MetricCounter | MetricHistogram | MetricGauge),
  ): T => {
    let one = instruments.get(id);
    if (one === undefined) instruments.set(id, (one = create()));
    return one as T;
  };
  return {
    add(id, by, labels) {
      const { name, description } = METRICS[id];
      instrument<MetricCounter>(id, () => sdk.createCounter(name, '', description)).add(by, labels);
    },
    observe(id, value, labels) {
      const { name, description } = METRICS[id];
      instrument<MetricHistogram>(id, () =>
        sdk.createHistogram(name, 'float', '', description),
      ).record(value, labels);
    },
    set(id, value, labels) {
      const { name, description } = METRICS[id];
      instrument<MetricGauge>(id, () => sdk.createGauge(name, 'int', '', description)).set(
        value,
        labels,
      );
    },
  };
}
