import { z } from 'zod';

/** A name of a policy, dataset, agent or scorer: it appears in keys, model names and workflow ids. */
export const Name = z
  .string()
  .regex(
    /^[a-z0-9][a-z0-9-]{0,62}$/,
    'expected lower-case letters, digits and dashes, at most 63 characters, starting with a letter or digit',
  );

/** The sha256 of a checkpoint's, dataset's or evaluation's canonical manifest. */
export const Digest = z
  .string()
  .regex(/^sha256:[0-9a-f]{64}$/, 'expected sha256: and 64 hexadecimal digits')
  .transform((digest) => digest as Digest);
export type Digest = `sha256:${string}`;

/** A digest or a unique prefix of one: people paste twelve digits. */
export const DigestPrefix = z
  .string()
  .regex(
    /^(sha256:)?[0-9a-f]{12,64}$/,
    'expected a checkpoint digest (sha256:… or at least its first 12 hexadecimal digits)',
  );

/** Whether `prefix`, with or without its `sha256:`, names `digest`. */
export function namesDigest(prefix: string, digest: Digest): boolean {
  const hex = prefix.startsWith('sha256:') ? prefix.slice('sha256:'.length) : prefix;
  return hex.length >= 12 && digest.slice('sha256:'.length).startsWith(hex);
}

/** The first twelve hexadecimal digits: enough for people, and accepted wherever a digest is asked for. */
export function shortDigest(digest: Digest): string {
  return digest.slice('sha256:'.length, 'sha256:'.length + 12);
}
