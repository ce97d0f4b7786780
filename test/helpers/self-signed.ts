import { generateKeyPairSync, randomBytes, sign } from 'node:crypto';

export interface SelfSigned {
  /** PEM. */
  readonly cert: string;
  readonly key: string;
}

/** A certificate for 127.0.0.1 and localhost that is its own authority, for an hour. X.509 v3 in DER: RFC 5280 §4.1. */
export function selfSigned(): SelfSigned {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const algorithm = sequence(oid([0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02])); // ecdsa-with-SHA256
  const commonName = sequence(oid([0x55, 0x04, 0x03]), tlv(0x0c, Buffer.from('localhost')));
  const name = sequence(tlv(0x31, commonName));
  const hour = 3_600_000;
  const validity = sequence(utcTime(Date.now() - hour), utcTime(Date.now() + hour));
  const names = sequence(
    tlv(0x82, Buffer.from('localhost')), // dNSName
    tlv(0x87, Buffer.from([127, 0, 0, 1])), // iPAddress
  );
  const extensions = tlv(
    0xa3,
    sequence(
      sequence(oid([0x55, 0x1d, 0x11]), tlv(0x04, names)), // subjectAltName
      sequence(oid([0x55, 0x1d, 0x13]), tlv(0x01, [0xff]), tlv(0x04, sequence(tlv(0x01, [0xff])))), // CA
    ),
  );
  const toBeSigned = sequence(
    tlv(0xa0, tlv(0x02, [2])), // version 3
    tlv(0x02, [1, ...randomBytes(8)]), // serial number
    ...[algorithm, name, validity, name],
    publicKey.export({ type: 'spki', format: 'der' }),
    extensions,
  );
  const signature = sign('sha256', toBeSigned, privateKey);
  const der = sequence(toBeSigned, algorithm, tlv(0x03, [0, ...signature]));
  return {
    cert: pem('CERTIFICATE', der),
    key: privateKey.export({ type: 'pkcs8', format: 'pem' }) as string,
  };
}

function pem(label: string, der: Buffer): string {
  const lines = der.toString('base64').match(/.{1,64}/g) ?? [];
  return [`-----BEGIN ${label}-----`, ...lines, `-----END ${label}-----`, ''].join('\n');
}

function tlv(tag: number, content: Uint8Array | readonly number[]): Buffer {
  const bytes = Buffer.from(content);
  return Buffer.from([tag, ...lengthOf(bytes), ...bytes]);
}

/** DER has one spelling of each length, the shortest: X.690 §10.1. */
function lengthOf({ length }: Buffer): number[] {
  if (length < 0x80) return [length];
  return length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
}

const sequence = (...parts: readonly Uint8Array[]): Buffer => tlv(0x30, Buffer.concat(parts));
const oid = (bytes: readonly number[]): Buffer => tlv(0x06, bytes);

/** `YYMMDDHHMMSSZ` */
function utcTime(atMs: number): Buffer {
  const digits = new Date(atMs).toISOString().replaceAll(/\D/g, '').slice(2, 14);
  return tlv(0x17, Buffer.from(`${digits}Z`));
}
