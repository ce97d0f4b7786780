import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import type { ClientAccess } from './clients/client-gateway';

const ROOT = join(__dirname, '../..');
/** Where the page says that the gateway is. */
const PAGE_URL = 'http://127.0.0.1:8787';

/** A fenced block of a page of docs/. */
export interface Snippet {
  /** The heading that it stands under. */
  readonly section: string;
  readonly language: string;
  readonly code: string;
}

export function readSnippets(page: string): Snippet[] {
  const markdown = readFileSync(join(ROOT, page), 'utf8');
  return markdown.split(/^## /m).flatMap((part) => {
    const section = part.split('\n', 1)[0] ?? '';
    const fences = [...part.matchAll(/^```(\w*)\n(.*?)^```$/gms)];
    return fences.map(([, language = '', code = '']) => ({ section, language, code }));
  });
}

const COMMANDS: Readonly<Record<string, readonly string[]>> = {
  js: [process.execPath, '--input-type=module', '-'],
  sh: ['sh', '-s'],
};

/**
 * Runs a snippet as it stands on the page, with the gateway's address in place of the page's, and an agent's key in the environment.
 *
 * @param python runs those in Python.
 * @returns what it printed.
 * @throws {Error} if it ends with anything but 0, with what it printed on stderr.
 */
export async function runSnippet(
  { section, language, code }: Snippet,
  { baseUrl, apiKey }: ClientAccess,
  python?: string,
): Promise<string> {
  const [command, ...args] =
    language === 'python' ? [python ?? '', '-'] : (COMMANDS[language] ?? []);
  if (!command) throw new Error(`there is no way to run ${language}`);
  const { PATH, HOME } = process.env;
  const child = spawn(command, args, {
    cwd: ROOT, // where Node finds the packages
    env: {
      ...{ PATH, HOME },
      ...{ OPENAI_API_KEY: apiKey, ANTHROPIC_API_KEY: apiKey, RATCHET_KEY: apiKey },
    },
  });
  const ended = new Promise<number | null>((resolve, reject) => {
    child.once('error', reject).once('close', resolve);
  });
  child.stdin.end(code.replaceAll(PAGE_URL, baseUrl.replace(/\/v1$/, '')));
  const [printed, complaints, exit] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    ended,
  ]);
  if (exit !== 0) throw new Error(`“${section}” in ${language} ended with ${exit}:\n${complaints}`);
  return printed;
}
