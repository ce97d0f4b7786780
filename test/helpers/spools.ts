import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { LocalSpoolOptions } from '../../src/adapters/spool/local-spool';
import { createLocalSpool } from '../../src/adapters/spool/local-spool';
import type { Processes } from '../../src/adapters/spool/spool-folder';
import type { Spool } from '../../src/gateway/recording/spool';

/** Processes of one machine that live and die as a test wants. */
export interface FakeMachine {
  start(host?: string): Processes;
  kill(processes: Processes): void;
}

export function createFakeMachine(): FakeMachine {
  const living = new Map<number, string>();
  let pids = 100;
  return {
    start(host = 'here') {
      const pid = ++pids;
      living.set(pid, `boot.${pid}`);
      return {
        self: { pid, identity: `boot.${pid}`, host },
        identityOf: async (asked) => living.get(asked),
      };
    },
    kill: ({ self }) => void living.delete(self.pid),
  };
}

export interface SpoolFixture {
  readonly root: string;
  readonly machine: FakeMachine;
  /** A spool of a process of its own. */
  open(options?: Partial<LocalSpoolOptions>): { readonly spool: Spool; readonly kill: () => void };
  /** Paths of all logs, below the root. */
  logs(): Promise<string[]>;
  remove(): Promise<void>;
}

export async function createSpoolFixture(): Promise<SpoolFixture> {
  const root = await mkdtemp(join(tmpdir(), 'ratchet-spool-'));
  const machine = createFakeMachine();
  return {
    root,
    machine,
    open(options = {}) {
      const processes = machine.start();
      return {
        spool: createLocalSpool({ root, processes, ...options }),
        kill: () => machine.kill(processes),
      };
    },
    async logs() {
      const names = await readdir(root, { recursive: true });
      return names.filter((name) => name.endsWith('.log')).sort();
    },
    remove: () => rm(root, { recursive: true, force: true }),
  };
}
