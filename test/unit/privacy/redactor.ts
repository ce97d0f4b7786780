import { createPlaceholders } from '../../../src/privacy/placeholder';
import { createRedactor, type Redactor } from '../../../src/privacy/redactor';
import { PrivacyConfig, privacySettings } from '../../../src/schemas/privacy-config';

export const KEY = new Uint8Array(32).fill(5);
export const placeholder = createPlaceholders(KEY);

export interface TestRedactor extends Redactor {
  /** How many values were replaced, by kind. */
  readonly counts: Map<string, number>;
}

export function redactorOf(config: object = {}): TestRedactor {
  const counts = new Map<string, number>();
  const settings = privacySettings(PrivacyConfig.parse(config), null);
  const redactor = createRedactor(
    settings,
    placeholder,
    (kind) => void counts.set(kind, (counts.get(kind) ?? 0) + 1),
  );
  return { ...redactor, counts };
}
