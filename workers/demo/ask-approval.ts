import { createInterface } from 'node:readline/promises';

/** Asks on the terminal until the answer is yes or no. @throws the signal's reason when it is aborted meanwhile. */
export async function askApproval(
  question: string,
  signal: AbortSignal,
): Promise<'approve' | 'reject'> {
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  try {
    for (;;) {
      const answer = (await terminal.question(question, { signal })).trim().toLowerCase();
      if (['y', 'yes'].includes(answer)) return 'approve';
      if (['n', 'no'].includes(answer)) return 'reject';
    }
  } finally {
    terminal.close();
  }
}
