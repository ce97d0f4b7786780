import { isAlphanumeric, type Finder } from '../span';

/** Lengths by country. Source: SWIFT's IBAN Registry, https://www.swift.com/standards/data-standards/iban-international-bank-account-number */
const LENGTHS: ReadonlyMap<string, number> = new Map(
  (
    'AD24 AE23 AL28 AT20 AZ28 BA20 BE16 BG22 BH22 BI27 BR29 BY28 CH21 CR22 CY28 CZ24 DE22 DJ27 DK18 DO28 EE20 EG29 ES24 FI18 FK18 ' +
    'FO18 FR27 GB22 GE22 GI23 GL18 GR27 GT28 HN28 HR21 HU28 IE22 IL23 IQ23 IS26 IT27 JO30 KW30 KZ20 LB28 LC32 LI21 LT20 LU20 LV21 ' +
    'LY25 MC27 MD24 ME22 MK19 MN20 MR27 MT31 MU30 NI28 NL18 NO15 OM23 PK24 PL28 PS29 PT25 QA29 RO24 RS22 RU33 SA24 SC31 SD18 SE24 ' +
    'SI19 SK24 SM27 SO23 ST25 SV28 TL23 TN24 TR26 UA29 VA22 VG24 XK20 YE30'
  )
    .split(' ')
    .map((entry) => [entry.slice(0, 2), Number(entry.slice(2))] as const),
);
const BEGINNING = /[A-Z]{2}\d{2}(?=[ -]?[A-Z\d])/gi;
const SPACE = /[ \u00a0-]/;

/** International bank account numbers: a country's length, and the check digits of ISO 13616 (mod 97). In groups or in one. */
export const findIbans: Finder = (text, add) => {
  BEGINNING.lastIndex = 0;
  for (let match = BEGINNING.exec(text); match !== null; match = BEGINNING.exec(text)) {
    const start = match.index;
    BEGINNING.lastIndex = start + 1;
    if (isAlphanumeric(text.charCodeAt(start - 1))) continue;
    const length = LENGTHS.get(match[0].slice(0, 2).toUpperCase());
    if (length === undefined) continue;
    let [iban, end] = ['', start];
    while (iban.length < length && end < text.length) {
      if (isAlphanumeric(text.charCodeAt(end))) iban += text.charAt(end);
      else if (!SPACE.test(text.charAt(end)) || SPACE.test(text.charAt(end - 1))) break;
      end++;
    }
    if (iban.length < length || isAlphanumeric(text.charCodeAt(end))) continue;
    if (remainder97(iban.toUpperCase()) !== 1) continue;
    add(start, end, iban.toUpperCase());
    BEGINNING.lastIndex = end;
  }
};

export function remainder97(iban: string): number {
  let remainder = 0;
  for (const character of iban.slice(4) + iban.slice(0, 4)) {
    const value = parseInt(character, 36);
    remainder = (remainder * (value > 9 ? 100 : 10) + value) % 97;
  }
  return remainder;
}
