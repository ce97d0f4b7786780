/** How a binary was obtained, in the order in which the ways are tried. */
export type Way = 'environment' | 'path' | 'cache' | 'download' | 'build';

export type ProvisionEvent =
  | { readonly kind: 'found'; readonly title: string; readonly way: Way; readonly path: string }
  | { readonly kind: 'note'; readonly message: string }
  | { readonly kind: 'way-failed'; readonly way: Way; readonly reason: string }
  | { readonly kind: 'waiting'; readonly title: string; readonly holder: string }
  | {
      readonly kind: 'downloading';
      readonly url: string;
      readonly receivedBytes: number;
      readonly totalBytes?: number;
    }
  | {
      readonly kind: 'building';
      readonly title: string;
      readonly elapsedMs: number;
      readonly expectedMs: number;
      readonly packages: number;
      readonly expectedPackages: number;
    };

export type ProvisionProgress = (event: ProvisionEvent) => void;

/** The part of a terminal or log file that the renderer needs. */
export interface ProgressStream {
  readonly isTTY?: boolean;
  write(text: string): unknown;
}

const LOG_EVERY_MS = 15_000;
const CLEAR_LINE = '\r\x1b[K';

/**
 * Prints progress for people: on a terminal, one line that is rewritten; elsewhere a line every 15 s, so that logs stay
 * short. What will not come again (a way that failed, a note) always gets a line of its own.
 */
export function renderProvisionProgress(
  stream: ProgressStream = process.stderr,
  now: () => number = Date.now,
): ProvisionProgress {
  let lineOpen = false;
  let last = { kind: '', at: -Infinity };
  return (event) => {
    const text = describe(event);
    const passing = isPassing(event);
    if (stream.isTTY === true) {
      stream.write(`${lineOpen ? CLEAR_LINE : ''}${text}${passing ? '' : '\n'}`);
      lineOpen = passing;
      return;
    }
    if (passing && last.kind === event.kind && now() - last.at < LOG_EVERY_MS) return;
    last = { kind: event.kind, at: now() };
    stream.write(`${text}\n`);
  };
}

function isPassing(event: ProvisionEvent): boolean {
  return event.kind === 'downloading' || event.kind === 'building' || event.kind === 'waiting';
}

function describe(event: ProvisionEvent): string {
  switch (event.kind) {
    case 'found':
      return `${event.title}: ${event.path} (${WAYS[event.way]})`;
    case 'note':
      return event.message;
    case 'way-failed':
      return `no ${WAYS[event.way]}: ${event.reason}`;
    case 'waiting':
      return `${event.title}: waiting for ${event.holder}, which is providing it already`;
    case 'downloading':
      return `downloading ${event.url}: ${mebibytes(event.receivedBytes)}${event.totalBytes === undefined ? '' : ` of ${mebibytes(event.totalBytes)}`}`;
    case 'building':
      return `building the ${event.title} with Go, once: ${event.packages} of about ${event.expectedPackages} packages, ${seconds(event.elapsedMs)} of about ${seconds(event.expectedMs)}`;
  }
}

const WAYS: Readonly<Record<Way, string>> = {
  environment: 'from the environment',
  path: 'from PATH',
  cache: 'from the cache',
  download: 'download',
  build: 'Go build',
};

const mebibytes = (bytes: number): string => `${(bytes / 2 ** 20).toFixed(0)} MiB`;
const seconds = (ms: number): string => {
  const whole = Math.round(ms / 1000);
  return whole < 60
    ? `${whole} s`
    : `${Math.floor(whole / 60)} min ${String(whole % 60).padStart(2, '0')} s`;
};
