/** The system that a binary is for, as Node names it. */
export interface Target {
  readonly platform: NodeJS.Platform;
  readonly arch: string;
}

/** Everything the provisioner must know about one server: data only, so that a further server is one more constant. */
export interface ServerSpec {
  /** Names the cache folder. */
  readonly name: string;
  /** What people call it, in messages. */
  readonly title: string;
  readonly version: string;
  /** The environment variable that names a binary of the user's own choice. */
  readonly environmentVariable: string;
  /** File name on PATH and inside archives, without `.exe`. */
  readonly executable: string;
  readonly versionArguments: readonly string[];
  /** Finds the version in what `versionArguments` prints: the first group. */
  readonly versionPattern: RegExp;
  /** Whether a binary found on PATH will do; `acceptsText` says the rule to people. */
  readonly accepts: (version: string) => boolean;
  readonly acceptsText: string;
  /** Archives that hold the executable, tried in this order; none for a system that is not served. */
  readonly downloads: (target: Target) => readonly string[];
  readonly go: GoBuild;
}

export interface GoBuild {
  /** The committed wrapper module (go.mod and go.sum pin every dependency), relative to the package's root. */
  readonly moduleFolder: string;
  readonly package: string;
  readonly ldflags: string;
  /** The oldest Go that can fetch the toolchain which go.mod asks for. */
  readonly minimumVersion: string;
  /** Measured with an empty build cache on 2 cores; for progress only. */
  readonly expectedSeconds: number;
  readonly expectedPackages: number;
}

const TEMPORAL_VERSION = '1.8.2';
const GO_PLATFORMS: Readonly<Record<string, string>> = {
  linux: 'linux',
  darwin: 'darwin',
  win32: 'windows',
};
const GO_ARCHITECTURES: Readonly<Record<string, string>> = { x64: 'amd64', arm64: 'arm64' };

export const temporalSpec: ServerSpec = {
  name: 'temporal',
  title: 'Temporal CLI',
  version: TEMPORAL_VERSION,
  environmentVariable: 'TEMPORAL_CLI',
  executable: 'temporal',
  versionArguments: ['--version'],
  versionPattern: /^temporal version (\S+)/m,
  accepts: (version) =>
    compareVersions(version, TEMPORAL_VERSION) >= 0 && compareVersions(version, '2.0.0') < 0,
  acceptsText: `${TEMPORAL_VERSION} or a later 1.x`,
  downloads: ({ platform, arch }) => {
    const goos = GO_PLATFORMS[platform];
    const goarch = GO_ARCHITECTURES[arch];
    if (goos === undefined || goarch === undefined) return [];
    const extension = goos === 'windows' ? 'zip' : 'tar.gz';
    return [
      `https://temporal.download/cli/archive/v${TEMPORAL_VERSION}?platform=${goos}&arch=${goarch}`,
      `https://github.com/temporalio/cli/releases/download/v${TEMPORAL_VERSION}/temporal_cli_${TEMPORAL_VERSION}_${goos}_${goarch}.${extension}`,
    ];
  },
  go: {
    moduleFolder: 'docker/servers/temporal',
    package: 'github.com/temporalio/cli/cmd/temporal',
    ldflags: `-s -w -X github.com/temporalio/cli/internal/temporalcli.Version=${TEMPORAL_VERSION}`,
    minimumVersion: '1.21',
    expectedSeconds: 240,
    expectedPackages: 1717,
  },
};

const MINIO_VERSION = '2026-02-12T20-18-48Z'; // the last commit of the repository: it is no longer maintained
const MINIO_BUILD: Readonly<Record<string, string>> = {
  Version: '2026-02-12T20:18:48Z',
  ReleaseTag: `DEVELOPMENT.${MINIO_VERSION}`, // no RELEASE has this commit, so it must not say that it is one
  CommitID: '7aac2a2c5b7c',
  ShortCommitID: '7aac2a2c5b7c',
  CopyrightYear: '2026',
};
// Those before it took an If-Match to an absent key for fulfilled (minio/minio#21526).
const MINIO_OLDEST = '2025-09-07T16-13-09Z';

export const minioSpec: ServerSpec = {
  name: 'minio',
  title: 'MinIO server',
  version: MINIO_VERSION,
  environmentVariable: 'MINIO_SERVER',
  executable: 'minio',
  versionArguments: ['--version'],
  versionPattern: /^minio version (?:RELEASE|DEVELOPMENT)\.(\d{4}\S+)/m,
  accepts: (version) => version >= MINIO_OLDEST, // times of one form: their order is that of letters
  acceptsText: `RELEASE.${MINIO_OLDEST} or later`,
  downloads: () => [], // binaries are published no more, and never were for this commit
  go: {
    moduleFolder: 'docker/servers/minio',
    package: 'github.com/minio/minio',
    ldflags: [
      '-s -w',
      ...Object.entries(MINIO_BUILD).map(
        ([name, value]) => `-X github.com/minio/minio/cmd.${name}=${value}`,
      ),
    ].join(' '),
    minimumVersion: '1.21',
    expectedSeconds: 100,
    expectedPackages: 1300,
  },
};

/** Below 0, 0, above 0, by the numbers between the dots; a missing part is 0 and a suffix (`-rc.1`) is not compared. */
export function compareVersions(left: string, right: string): number {
  const parse = (version: string): number[] => version.split(/[-+]/)[0]!.split('.').map(Number); // split never gives an empty list
  const [a, b] = [parse(left), parse(right)];
  for (let i = 0; i < Math.max(a.length, b.length); i++) {
    const difference = (a[i] ?? 0) - (b[i] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}
