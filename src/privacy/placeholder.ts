import { createHmac } from 'node:crypto';

const LETTERS = 16;

/**
 * What stands in the place of a value: `[email:kfjmapbgcdhoeiln]`. 64 bits of HMAC-SHA256 under the installation's key: the same value has
 * the same placeholder everywhere, so that who learns from the texts still sees that it is the same; without the key nobody can try out
 * values against it. In letters, so that it never looks like a number that would have to be replaced itself.
 */
export function createPlaceholders(key: Uint8Array): (kind: string, value: string) => string {
  return (kind, value) => {
    const hex = createHmac('sha256', key).update(`${kind}\n${value}`).digest('hex');
    let letters = '';
    for (let i = 0; i < LETTERS; i++)
      letters += String.fromCharCode(97 + parseInt(hex.charAt(i), 16));
    return `[${kind}:${letters}]`;
  };
}

/** Finds placeholders in a text. */
export const PLACEHOLDER = /\[([a-z][a-z0-9-]{0,62}):([a-p]{16})\]/g;
