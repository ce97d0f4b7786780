import type { Digest } from '../schemas/ids';
import { MANIFEST_FILE } from './manifest';

/** What a key of the layout is the place of. A `run` here is the folder's name: `toKeySegment` of the run. */
export type Place =
  | { readonly kind: 'blob'; readonly sha256: string }
  | {
      readonly kind: 'checkpoint' | 'dataset';
      readonly folder: string;
      readonly digest: Digest;
      readonly file: string;
      readonly isManifest: boolean;
    }
  | { readonly kind: 'evaluation' | 'evidence'; readonly digest: Digest }
  | { readonly kind: 'routing' | 'promotion'; readonly policy: string }
  | { readonly kind: 'run' | 'dropped'; readonly run: string }
  | { readonly kind: 'record'; readonly run: string; readonly iteration: number }
  | {
      readonly kind: 'trajectories' | 'rewards' | 'state';
      readonly run: string;
      readonly iteration: number;
    }
  | {
      readonly kind: 'live-hour';
      readonly agent: string;
      readonly day: string;
      readonly hour: number;
    }
  | {
      readonly kind:
        | 'feedback'
        | 'live'
        | 'pause'
        | 'erasure'
        | 'claim'
        | 'gc'
        | 'quarantine'
        | 'probe'
        | 'unknown';
    };

export type PlaceKind = Place['kind'];

const HEX = '([0-9a-f]{64})';

/** The keys of keys.ts, read backwards. Anything else is `unknown`, and nobody touches it. */
const PLACES: readonly (readonly [RegExp, (...groups: string[]) => Place])[] = [
  [re(`blobs/${HEX}`), (sha256) => ({ kind: 'blob', sha256 })],
  [re(`(checkpoints/${HEX}/)([^/]+)`), (...groups) => directoryFile('checkpoint', groups)],
  [re(`(datasets/[^/]+/${HEX}/)([^/]+)`), (...groups) => directoryFile('dataset', groups)],
  [re(`evaluations/${HEX}\\.json`), (hex) => ({ kind: 'evaluation', digest: `sha256:${hex}` })],
  [
    re(`evaluations/${HEX}/evidence-[0-9a-f]{64}\\.json`),
    (hex) => ({ kind: 'evidence', digest: `sha256:${hex}` }),
  ],
  [re('policies/([^/]+)/routing\\.json'), (policy) => ({ kind: 'routing', policy })],
  [re('policies/([^/]+)/promotions/[^/]+\\.json'), (policy) => ({ kind: 'promotion', policy })],
  [re('runs/([^/]+)/run\\.json'), (run) => ({ kind: 'run', run })],
  [re('runs/([^/]+)/dropped\\.json'), (run) => ({ kind: 'dropped', run })],
  [
    re('runs/([^/]+)/(\\d{6})/records/[a-z]+-[0-9a-f]{64}\\.json'),
    (run, iteration) => ({ kind: 'record', run, iteration: Number(iteration) }),
  ],
  [
    re('runs/([^/]+)/(\\d{6})/(trajectories|rewards|state)/[^/]+'),
    (run, iteration, kind) => ({
      kind: kind as 'trajectories' | 'rewards' | 'state',
      run,
      iteration: Number(iteration),
    }),
  ],
  [re('rewards/.+'), () => ({ kind: 'feedback' })],
  [
    re('live-hours/([^/]+)/(\\d{4}-\\d\\d-\\d\\d)/(\\d\\d)\\.json'),
    (agent, day, hour) => ({ kind: 'live-hour', agent, day, hour: Number(hour) }),
  ],
  [re('live/.+'), () => ({ kind: 'live' })],
  [re('pauses/(?:upstream|model|agent)/[^/]+\\.json'), () => ({ kind: 'pause' })],
  [re(`erasures/${HEX}\\.json`), () => ({ kind: 'erasure' })],
  [re('claims/[^/]+\\.json'), () => ({ kind: 'claim' })],
  [re('gc/.+'), () => ({ kind: 'gc' })],
  [re('quarantine/.+'), () => ({ kind: 'quarantine' })],
  [re('probes?/.+'), () => ({ kind: 'probe' })],
];

export function placeOf(key: string): Place {
  for (const [pattern, toPlace] of PLACES) {
    const match = pattern.exec(key);
    if (match !== null) return toPlace(...match.slice(1));
  }
  return { kind: 'unknown' };
}

function re(pattern: string): RegExp {
  return new RegExp(`^v1/${pattern}$`);
}

function directoryFile(
  kind: 'checkpoint' | 'dataset',
  [folder = '', hex = '', file = '']: readonly string[],
): Place {
  return {
    ...{ kind, folder: `v1/${folder}`, digest: `sha256:${hex}` as const, file },
    isManifest: file === MANIFEST_FILE,
  };
}
