import type { GatewayCounters } from './counters';
import type { DrainSnapshot } from '../recording/drain-spool';
import type { Metric, Sample } from './prometheus-text';
import type { SpoolSnapshot } from '../recording/spool';
import { GROUP_BUCKETS } from '../recording/spool';

/** How the spool and its drain are. */
export interface SpoolStatus {
  readonly spool: SpoolSnapshot;
  readonly drain: DrainSnapshot;
}

/** What `GET /metrics` says. @param status null where there is no spool. */
export function gatewayMetrics(
  counters: GatewayCounters,
  status: SpoolStatus | null,
  nowMs: number,
  redactions: ReadonlyMap<string, ReadonlyMap<string, number>> = new Map(),
): readonly Metric[] {
  return [
    {
      ...{ name: 'ratchet_gateway_requests_total', type: 'counter' },
      help: 'Requests answered, by HTTP status.',
      samples: Object.entries(counters.byStatus).map(([code, value]) => ({
        labels: { status: code },
        value,
      })),
    },
    counter(
      'gateway_unrecorded_total',
      'Live calls that were answered although they could not be recorded.',
      counters.unrecorded,
    ),
    {
      ...{ name: 'ratchet_gateway_observed_spans_total', type: 'counter' },
      help: 'Spans that came in traces: recorded model calls, those without an answer (silent), rejected, and other spans (skipped).',
      samples: Object.entries(counters.observed).map(([outcome, value]) => ({
        labels: { outcome },
        value: value as number,
      })),
    },
    {
      ...{ name: 'ratchet_redactions_total', type: 'counter' },
      help: 'Values replaced by placeholders before they were written, by agent and kind.',
      samples: Array.from(redactions, ([agent, kinds]) =>
        Array.from(kinds, ([kind, value]) => ({ labels: { agent, kind }, value })),
      ).flat(),
    },
    ...(status === null ? [] : spoolMetrics(status, nowMs)),
  ];
}

function spoolMetrics({ spool, drain }: SpoolStatus, nowMs: number): Metric[] {
  const ageSeconds = spool.oldestAt === null ? 0 : Math.max(0, nowMs - spool.oldestAt) / 1_000;
  return [
    gauge('spool_bytes', 'Bytes on disk that are not in the object store yet.', spool.bytes),
    gauge(
      'spool_max_bytes',
      'From here on live calls are answered without being recorded.',
      spool.maxBytes,
    ),
    gauge('spool_files', 'Files that are not drained, adopted ones included.', spool.files),
    gauge('spool_entries', 'Entries of this process that are not drained.', spool.entries),
    {
      ...gauge(
        'spool_oldest_age_seconds',
        'Age of the oldest entry that is not drained.',
        ageSeconds,
      ),
      across: 'max',
    },
    counter('spool_appended_total', 'Entries made durable.', spool.appended),
    counter('spool_appended_bytes_total', 'Bytes made durable.', spool.appendedBytes),
    counter('spool_fsyncs_total', 'Calls of fdatasync.', spool.fsyncs),
    {
      ...{ name: 'ratchet_spool_group_entries', type: 'histogram' },
      help: 'Entries that shared an fsync.',
      samples: groupSamples(spool),
    },
    counter('spool_failed_groups_total', 'Groups that could not be written.', spool.failedGroups),
    counter(
      'spool_refused_full_total',
      'Entries refused because the spool was full.',
      spool.refusedFull,
    ),
    counter('spool_adopted_total', 'Folders taken over from gateways that died.', spool.adopted),
    counter(
      'spool_torn_tails_total',
      'Last records that a crash cut off before they were durable.',
      spool.tornTails,
    ),
    {
      // In one folder, which all processes look into.
      ...gauge(
        'spool_quarantined',
        'Pieces of damaged files that wait for a person.',
        spool.quarantined,
      ),
      across: 'max',
    },
    counter('drain_files_total', 'Spool files drained.', drain.files),
    counter('drain_segments_total', 'Segments put into the object store.', drain.segments),
    counter('drain_decisions_total', 'Decisions in them.', drain.decisions),
    counter(
      'drain_unresolved_total',
      'Calls in them that were under way when their gateway died.',
      drain.unresolved,
    ),
    counter('drain_failures_total', 'Attempts to drain that failed.', drain.failures),
    {
      ...gauge(
        'drain_failures_in_a_row',
        'How many of them came last, without a success.',
        drain.failuresInARow,
      ),
      across: 'max',
    },
    counter(
      'drain_conflicts_total',
      'Segments that were there before with other bytes.',
      drain.conflicts,
    ),
  ];
}

/** Prometheus's buckets are cumulative. The sum is that of all entries, so that it needs no counter of its own. */
function groupSamples({ groupSizes, appended }: SpoolSnapshot): Sample[] {
  let count = 0;
  const buckets = groupSizes.map((groups, i): Sample => {
    count += groups;
    return { suffix: '_bucket', labels: { le: String(GROUP_BUCKETS[i] ?? '+Inf') }, value: count };
  });
  return [...buckets, { suffix: '_sum', value: appended }, { suffix: '_count', value: count }];
}

function counter(name: string, help: string, value: number): Metric {
  return { name: `ratchet_${name}`, type: 'counter', help, samples: [{ value }] };
}

function gauge(name: string, help: string, value: number): Metric {
  return { name: `ratchet_${name}`, type: 'gauge', help, samples: [{ value }] };
}
