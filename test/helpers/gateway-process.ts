import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { distPath } from '../../src/adapters/dist-path';

/** `ratchet gateway` as a process of its own. */
export interface GatewayProcess {
  readonly url: string;
  end(by: NodeJS.Signals): Promise<void>;
  /** The last of what it wrote to stderr. */
  log(): string;
  /** One that has no labels. @returns NaN where there is none. */
  metric(name: string): Promise<number>;
}

/** Resolves once it is ready. What it records leaves its spool after a second. */
export async function startGatewayProcess(
  home: string,
  port: number,
  env: Readonly<Record<string, string>> = {},
): Promise<GatewayProcess> {
  const child = spawn(process.execPath, [distPath('workers/cli.js'), 'gateway'], {
    env: {
      ...process.env,
      RATCHET_HOME: home,
      RATCHET_GATEWAY_PORT: String(port),
      RATCHET_SPOOL_SECONDS: '1',
      RATCHET_END_WITH_STDIN: '1',
      ...env,
    },
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()));
  let stderr = '';
  child.stderr.on('data', (chunk: Buffer) => (stderr = (stderr + chunk.toString()).slice(-4_000)));
  const url = await new Promise<string>((resolve, reject) => {
    createInterface({ input: child.stdout }).on('line', (line) => {
      if (line.startsWith('ready: ')) resolve(line.slice('ready: '.length));
    });
    void ended.then(() => reject(new Error(`the gateway ended before it was ready:\n${stderr}`)));
  });
  return {
    url,
    log: () => stderr,
    async end(by) {
      child.kill(by);
      await ended;
    },
    async metric(name) {
      const text = await (await fetch(`${url}/metrics`)).text();
      return Number(new RegExp(`^ratchet_${name} (\\d+)$`, 'm').exec(text)?.[1]);
    },
  };
}
