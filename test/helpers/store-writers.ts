import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';

/** How another process makes a store: a function of a compiled module, and what to call it with. */
export interface CompiledStore {
  /** Path below dist/. */
  readonly module: string;
  readonly create: string;
  readonly options: object;
}

export interface WriterJob {
  readonly mode: 'ifAbsent' | 'ifMatch' | 'increment' | 'storm';
  readonly key: string;
  readonly id: string;
  readonly etag?: string | undefined;
  readonly times?: number;
  readonly sizeBytes?: number;
}

export interface Writer {
  readonly process: ChildProcess;
  /** The first output. */
  readonly started: Promise<unknown>;
  readonly ended: Promise<unknown>;
  send(line: string): void;
  output(): { stdout: string; stderr: string };
}

/** Starts test/helpers/conditional-writer.cjs as a process of its own, on compiled code. */
export function startWriter(store: CompiledStore, job: WriterJob): Writer {
  const script = join(__dirname, 'conditional-writer.cjs');
  const child = spawn(process.execPath, [script, JSON.stringify({ ...store, ...job })], {
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
  const ended = once(child, 'close');
  return {
    process: child,
    started: Promise.race([once(child.stdout, 'data'), ended]),
    ended,
    send: (line) => void child.stdin.write(`${line}\n`),
    output: () => ({ stdout, stderr }),
  };
}

export async function collectOutput(writer: Writer): Promise<string> {
  await writer.ended;
  const { stdout, stderr } = writer.output();
  if (writer.process.exitCode !== 0) throw new Error(`a writer process failed: ${stderr}`);
  return stdout;
}

/** The outcomes of writers that make one put each, all at the same instant. */
export async function raceWriters(writers: readonly Writer[]): Promise<unknown[]> {
  await Promise.all(writers.map(({ started }) => started));
  const startAt = String(Date.now() + 200);
  for (const writer of writers) writer.send(startAt);
  const outputs = await Promise.all(writers.map(collectOutput));
  return outputs.map((output): unknown => JSON.parse(output.slice('ready\n'.length)));
}
