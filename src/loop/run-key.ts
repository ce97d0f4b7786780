/**
 * What a run's objects are kept under: workflow id and first execution run id, so that a reused workflow id never
 * mixes two runs, and continue-as-new stays one. Characters that keys do not take are replaced.
 */
export function runKey(workflowId: string, firstExecutionRunId: string): string {
  const name = workflowId
    .replace(/[^A-Za-z0-9._-]/g, '_')
    .replace(/^[._-]+/, '')
    .slice(0, 120);
  return `${name === '' ? 'run' : name}.${firstExecutionRunId}`;
}
