import { readdir, readFile } from 'node:fs/promises';
import type { Exec } from './exec';
import { exec as realExec } from './exec';

export interface ProcessEntry {
  readonly pid: number;
  /** The program and its arguments. Exact on Linux; split at spaces where only `ps` knows (macOS). */
  readonly argv: readonly string[];
}

/** Lists the processes that this user may look at. A process that has ended but was not collected is not one. */
export type ProcessTable = () => Promise<readonly ProcessEntry[]>;

/** The process table of this machine: /proc on Linux (slim images have no `ps`), `ps` elsewhere. */
export const processTable: ProcessTable = () =>
  process.platform === 'linux' ? fromProc() : fromPs(realExec);

async function fromProc(): Promise<readonly ProcessEntry[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const entries = await Promise.all(
    pids.map(async (pid) => {
      const raw = await readOrEmpty(`/proc/${pid}/cmdline`); // empty for kernel threads and zombies
      return { pid: Number(pid), argv: raw.split('\0').slice(0, -1) };
    }),
  );
  return entries.filter(({ argv }) => argv.length > 0);
}

async function fromPs(exec: Exec): Promise<readonly ProcessEntry[]> {
  const { stdout } = await exec('ps', ['-axww', '-o', 'pid=,stat=,command=']);
  return stdout.split('\n').flatMap((line) => {
    const match = /^\s*(\d+)\s+(\S+)\s+(.*)$/.exec(line);
    if (match === null || match[2]!.startsWith('Z')) return []; // the three groups always match together
    return [{ pid: Number(match[1]), argv: match[3]!.split(' ') }];
  });
}

/**
 * A name for a process that no later process with the same pid can have: boot and start time. Undefined if no such
 * process runs (a zombie does not run).
 */
export async function processIdentity(pid: number): Promise<string | undefined> {
  if (process.platform === 'linux') {
    const stat = await readOrEmpty(`/proc/${pid}/stat`);
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' '); // the name may hold spaces and brackets
    const [state, startTicks] = [fields[0], fields[19]];
    if (startTicks === undefined || state === 'Z' || state === 'X') return undefined;
    return `${(await readOrEmpty('/proc/sys/kernel/random/boot_id')).trim()}.${startTicks}`;
  }
  const { code, stdout } = await realExec('ps', ['-o', 'stat=,lstart=', '-p', String(pid)]);
  const [state, ...started] = stdout.trim().split(/\s+/);
  return code !== 0 || state === undefined || state.startsWith('Z') ? undefined : started.join(' ');
}

async function readOrEmpty(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch {
    return ''; // the process ended between listing and reading, or belongs to someone else
  }
}
