import { z } from 'zod';
import { Duration } from './duration';
import { Name } from './ids';

/** Which kinds are replaced by placeholders before anything is written. */
export const RedactedKinds = z.strictObject({
  /** API keys, tokens, private keys, passwords. */
  secret: z.boolean(),
  card: z.boolean(),
  iban: z.boolean(),
  email: z.boolean(),
  phone: z.boolean(),
  ip: z.boolean(),
});
export type RedactedKinds = z.infer<typeof RedactedKinds>;

/** Something else that is to be replaced. RE2's syntax, which is searched in linear time: no back references, no look-around. */
export const RedactionPattern = z.strictObject({
  /** Appears in the placeholder: `[<name>:…]`. */
  name: Name,
  pattern: z.string().min(1).max(500),
  ignoreCase: z.boolean().optional(),
});
export type RedactionPattern = z.infer<typeof RedactionPattern>;

const Settings = z.strictObject({
  kinds: RedactedKinds.partial().optional(),
  patterns: z.array(RedactionPattern).max(50).optional(),
  /**
   * Values in messages, tool arguments and results that are always replaced, whatever they are: `customer.ssn`, `*.password`, `**.cvv`.
   * Elements of arrays are passed over: `items.price` is each item's.
   */
  deny: z.array(z.string().min(1).max(200)).max(200).optional(),
  /** Values that are never replaced: as they are written, or `*@example.com` for all addresses of a domain. */
  keep: z.array(z.string().min(1).max(200)).max(1_000).optional(),
  /** Countries (ISO 3166) in whose way telephone numbers may be written without a country code. */
  phoneRegions: z
    .array(z.string().regex(/^[A-Z]{2}$/, 'expected two capital letters, e.g. US'))
    .max(20)
    .optional(),
  /** Whether names of sessions are replaced as a whole, not only what is found in them: where they are names of people. */
  hideSessionNames: z.boolean().optional(),
});

/** What an agent does not say is as for all agents, and what nobody says is on. */
export const PrivacyConfig = z.strictObject({
  ...Settings.shape,
  agents: z.record(Name, Settings).default({}),
  /** How long live calls and late feedback are kept by `ratchet privacy retain`; for ever when left out. */
  retention: z
    .strictObject({ live: Duration.optional(), feedback: Duration.optional() })
    .prefault({}),
});
export type PrivacyConfig = z.infer<typeof PrivacyConfig>;

/** All of it said. */
export type PrivacySettings = {
  readonly [K in keyof z.infer<typeof Settings>]-?: K extends 'kinds'
    ? RedactedKinds
    : NonNullable<z.infer<typeof Settings>[K]>;
};

const DEFAULTS: PrivacySettings = {
  kinds: { secret: true, card: true, iban: true, email: true, phone: true, ip: true },
  ...{ patterns: [], deny: [], keep: [], hideSessionNames: false },
  phoneRegions: ['US', 'GB', 'DE', 'FR'],
};

/** @param agent null for what belongs to none. */
export function privacySettings(config: PrivacyConfig, agent: string | null): PrivacySettings {
  const { agents, patterns, deny, keep, phoneRegions, hideSessionNames } = config;
  const general = { patterns, deny, keep, phoneRegions, hideSessionNames };
  const own = (agent !== null && Object.hasOwn(agents, agent) ? agents[agent] : undefined) ?? {};
  const kinds = { ...DEFAULTS.kinds };
  for (const some of [config.kinds ?? {}, own.kinds ?? {}]) {
    for (const [kind, isOn] of Object.entries(some)) {
      if (isOn !== undefined) kinds[kind as keyof RedactedKinds] = isOn;
    }
  }
  return { ...DEFAULTS, ...said(general), ...said(own), kinds };
}

/** Without members that are undefined: those would hide what stands before them. */
function said<T extends object>(settings: T): { [K in keyof T]: NonNullable<T[K]> } {
  return Object.fromEntries(
    Object.entries(settings).filter(([, value]) => value !== undefined),
  ) as { [K in keyof T]: NonNullable<T[K]> };
}
