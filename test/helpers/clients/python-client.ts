import { spawn, type ChildProcess } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Client } from '../../contract/clients/client.contract';
import type { ClientAccess } from './client-gateway';

export interface PythonClient extends Client {
  close(): void;
}

/**
 * One of the scripts in test/clients/python as a client, in a process that lives on from fact to fact: these libraries take seconds to import.
 *
 * @param python the environment's interpreter.
 */
export function createPythonClient(
  python: string,
  [script, ...args]: readonly string[],
): PythonClient {
  const folder = join(__dirname, '../../clients/python');
  let child: ChildProcess | undefined;
  let answers: AsyncIterator<string> | undefined;
  let stderr = '';

  const start = (): void => {
    const { PATH, HOME } = process.env;
    const started = spawn(python, [join(folder, script as string), ...args], {
      stdio: ['pipe', 'pipe', 'pipe'],
      // Nothing that says where else they could go; and no telemetry, of which nothing is reached here.
      env: { PATH, HOME, LANGSMITH_TRACING: 'false', PYTHONDONTWRITEBYTECODE: '1' },
    });
    started.stderr.on(
      'data',
      (chunk: Buffer) => (stderr = (stderr + chunk.toString()).slice(-4_000)),
    );
    answers = createInterface({ input: started.stdout })[Symbol.asyncIterator]();
    child = started;
  };
  const ask = async (fact: string, { baseUrl, apiKey }: ClientAccess): Promise<unknown> => {
    if (child === undefined) start();
    child?.stdin?.write(`${JSON.stringify({ fact, base_url: baseUrl, api_key: apiKey })}\n`);
    const line = await answers?.next();
    if (line === undefined || line.done === true) throw new Error(`${script} ended:\n${stderr}`);
    const { value, error } = JSON.parse(line.value) as { value?: unknown; error?: string };
    if (error !== undefined) throw new Error(`${script} failed:\n${error}`);
    return value;
  };
  return {
    plain: async (access) => (await ask('plain', access)) as string,
    stream: async (access) => (await ask('stream', access)) as string[],
    tools: async (access) => (await ask('tools', access)) as string,
    toolsInStream: async (access) => (await ask('toolsInStream', access)) as string,
    refused: (access) => ask('refused', access),
    close: () => void child?.kill(),
  };
}
