/** log(k!) for k = 0 … n, float64 [n + 1]; relative error about n·1e-16, enough for exact tests of up to 10⁶ trials. */
export function logFactorials(n: number): Float64Array {
  const logs = new Float64Array(n + 1);
  for (let k = 2; k <= n; k++) logs[k] = (logs[k - 1] as number) + Math.log(k);
  return logs;
}
