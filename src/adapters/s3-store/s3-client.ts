import { S3Client } from '@aws-sdk/client-s3';

/** Where a bucket is and how to get at it. What is left out comes from the SDK's own chain: AWS_* variables, profiles, instance roles. */
export interface S3Options {
  readonly bucket: string;
  /** Stands before every key, without a slash at its end: one bucket can hold several stores. */
  readonly prefix?: string | undefined;
  /** For anything but AWS: `https://host[:port]`. */
  readonly endpoint?: string | undefined;
  /**
   * `<endpoint>/<bucket>/<key>` instead of `<bucket>.<endpoint>/<key>`, which needs a DNS name for each bucket.
   *
   * @default true where `endpoint` is given
   */
  readonly pathStyle?: boolean | undefined;
  /** @default the SDK's chain; `us-east-1` where that has none and `endpoint` is given */
  readonly region?: string | undefined;
  readonly credentials?:
    | {
        readonly accessKeyId: string;
        readonly secretAccessKey: string;
        readonly sessionToken?: string;
      }
    | undefined;
  /** @default 5000 */
  readonly connectTimeoutMs?: number | undefined;
  /**
   * How long a request may wait for its answer, and the body of an answer for its next bytes. A request that carries a body has a
   * second more for each 256 KiB.
   *
   * @default 20000
   */
  readonly requestTimeoutMs?: number | undefined;
  /**
   * How often a request is sent before its failure is the caller's.
   *
   * @default 5
   */
  readonly attempts?: number | undefined;
}

const CONNECT_TIMEOUT_MS = 5_000;

export function createS3Client(options: S3Options): S3Client {
  // Which Node a later version of the SDK needs is of interest to whoever changes our pinned one, not to every process's log.
  process.env['AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED'] ??= 'true';
  const { endpoint, region, credentials, connectTimeoutMs = CONNECT_TIMEOUT_MS } = options;
  const client = new S3Client({
    ...(endpoint === undefined ? {} : { endpoint }),
    forcePathStyle: options.pathStyle ?? endpoint !== undefined,
    ...regionOf(region, endpoint),
    ...(credentials === undefined ? {} : { credentials }),
    // We send a sha256 with every body and check one at every read (README.md); the SDK's own CRC32 would be a second pass over
    // the bytes, and some servers refuse the trailers in which it travels.
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    // It would open a connection of its own for each body; a large body's condition is looked at before its upload begins.
    expectContinueHeader: false,
    // The time for an answer is kept in requests.ts, for signing, sending and waiting together.
    requestHandler: {
      connectionTimeout: connectTimeoutMs,
      httpAgent: { keepAlive: true }, // as many sockets as requests.ts asks for
      httpsAgent: { keepAlive: true },
    },
  });
  // One loop of ours retries (retrying.ts): a put must know whether an attempt before it may have been carried out. The SDK's would also
  // hide errors that come from another realm, as those of the network do to a test runner, behind one without a code.
  client.middlewareStack.add((next) => (args) => next(args), {
    name: 'retryMiddleware',
    step: 'finalizeRequest',
    priority: 'high',
    override: true,
  });
  return client;
}

/** Every server but AWS takes any region, but the signature needs one. */
function regionOf(
  region: string | undefined,
  endpoint: string | undefined,
): { readonly region?: string | (() => Promise<string>) } {
  if (region !== undefined) return { region };
  if (endpoint === undefined) return {};
  const chain = new S3Client({ endpoint });
  return { region: () => chain.config.region().catch(() => 'us-east-1') };
}
