import { readFile } from 'node:fs/promises';
import { promisify } from 'node:util';
import { execFile } from 'node:child_process';

export interface ProcessUsage {
  readonly rssMb: number;
  /** User and system time since the process started. */
  readonly cpuSeconds: number;
}

/** Linux counts in these, whatever the kernel's own ticks. */
const TICKS_PER_SECOND = 100;
const PAGE_KB = 4;

/** What a running process has used so far. */
export async function processUsage(pid: number): Promise<ProcessUsage> {
  if (process.platform !== 'linux') return fromPs(pid);
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' '); // the name may hold spaces and brackets
  const field = (number: number): number => Number(fields[number - 3]); // as proc(5) counts
  return {
    rssMb: (field(24) * PAGE_KB) / 1024,
    cpuSeconds: (field(14) + field(15)) / TICKS_PER_SECOND,
  };
}

async function fromPs(pid: number): Promise<ProcessUsage> {
  const { stdout } = await promisify(execFile)('ps', ['-o', 'rss=,time=', '-p', String(pid)]);
  const [rssKb = '', time = ''] = stdout.trim().split(/\s+/);
  const cpuSeconds = time.split(':').reduce((sum, part) => sum * 60 + Number(part), 0);
  return { rssMb: Number(rssKb) / 1024, cpuSeconds };
}

/** Asks for the usage of some processes once a second. */
export interface UsageLog {
  /** The largest resident size of any of the processes between two times, in milliseconds since 1970. */
  maxRssMb(from: number, to: number): number;
  /** What all processes together used between two times, to the second. */
  cpuSeconds(from: number, to: number): number;
  stop(): void;
}

export function startUsageLog(pids: readonly number[]): UsageLog {
  const samples: { readonly at: number; readonly usages: readonly ProcessUsage[] }[] = [];
  const sample = async (): Promise<void> => {
    samples.push({ at: Date.now(), usages: await Promise.all(pids.map(processUsage)) });
  };
  const timer = setInterval(() => void sample().catch(() => clearInterval(timer)), 1_000); // a process ended
  const within = (from: number, to: number): typeof samples =>
    samples.filter(({ at }) => at >= from && at <= to);
  const total = (usages: readonly ProcessUsage[] = []): number =>
    usages.reduce((sum, { cpuSeconds }) => sum + cpuSeconds, 0);
  return {
    maxRssMb: (from, to) =>
      Math.max(0, ...within(from, to).flatMap(({ usages }) => usages.map(({ rssMb }) => rssMb))),
    cpuSeconds: (from, to) => {
      const inside = within(from, to);
      const [first, last] = [inside[0], inside.at(-1)];
      if (first === undefined || last === undefined || last.at === first.at) return 0;
      const seconds = total(last.usages) - total(first.usages);
      return (seconds * (to - from)) / (last.at - first.at);
    },
    stop: () => clearInterval(timer),
  };
}
