/** Whether something thrown is a system error with this code. Asked by shape: test runners have several `Error` classes. */
export function isErrno(error: unknown, code: string): boolean {
  return typeof error === 'object' && error !== null && 'code' in error && error.code === code;
}
