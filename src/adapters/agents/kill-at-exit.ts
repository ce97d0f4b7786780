const groups = new Set<number>();
let isHooked = false;

/**
 * Kills a process group should our process exit while it runs: `process.exit` waits for nobody, and a group of its own
 * does not go with its parent. Nothing helps against SIGKILL: such an agent fails when its model no longer answers.
 *
 * @returns to be called when the group is gone.
 */
export function killAtExit(processGroup: number): () => void {
  if (!isHooked) {
    isHooked = true;
    process.on('exit', () => {
      for (const group of groups) {
        try {
          process.kill(-group, 'SIGKILL');
        } catch {
          // ESRCH: it has just ended by itself, which is what was wanted.
        }
      }
    });
  }
  groups.add(processGroup);
  return () => void groups.delete(processGroup);
}
