import { asObject, type JsonObject } from '../loose-json';

/**
 * Ids of the items of our own answers hold the item itself: clients may send `{type: "item_reference", id}` in place of an item (the AI SDK
 * does by default), and gateways keep nothing to look it up in. Not signed: whoever sends a reference could send the item as well.
 */
const PREFIX = /^(?:msg|fc)_rr_(?=[A-Za-z0-9_-]+$)/;

export function createItemId(prefix: 'msg' | 'fc', item: object): string {
  return `${prefix}_rr_${Buffer.from(JSON.stringify(item)).toString('base64url')}`;
}

/** @returns null if it is not the id of an item of ours. */
export function readItemId(id: string): (JsonObject & { readonly type: string }) | null {
  const prefix = PREFIX.exec(id)?.[0];
  if (prefix === undefined) return null;
  try {
    const text = Buffer.from(id.slice(prefix.length), 'base64url').toString('utf8');
    const item = asObject(JSON.parse(text));
    return typeof item?.['type'] === 'string' ? { ...item, type: item['type'] } : null;
  } catch {
    return null; // no JSON: the id of somebody else
  }
}
