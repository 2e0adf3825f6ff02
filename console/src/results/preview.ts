import { send } from '../api/http';

/** How much of a file is fetched to be looked at. */
export const PREVIEW_BYTES = 64 * 1024;
/** Pictures are whole or nothing: up to this size they are fetched. */
export const PICTURE_BYTES = 8 * 1024 * 1024;

/** A file that can be looked at: of the results, or of a run. */
export interface Viewable {
  readonly id: string;
  readonly url: string;
  readonly filename: string;
  readonly content_type: string;
  readonly size: number;
}

export type Preview =
  | { kind: 'text'; text: string; whole: boolean }
  | { kind: 'csv'; text: string; whole: boolean }
  | { kind: 'png'; blob: Blob }
  | { kind: 'none'; reason: string };

const pngMagic = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a];

/**
 * Fetches the beginning of a file and decides by its bytes what it is. Whatever it says it is, it is only
 * ever shown as text, as cells of text, or as a picture of the one type whose magic number it has:
 * nothing in it can run.
 */
export async function loadPreview(file: Viewable, signal: AbortSignal): Promise<Preview> {
  if (file.size === 0) return { kind: 'none', reason: 'The file is empty.' };
  const start = await part(file, PREVIEW_BYTES, signal);
  if (isPNG(start)) {
    if (file.size > PICTURE_BYTES) return { kind: 'none', reason: 'The picture is too large to show here. Download it.' };
    const all = file.size <= start.length ? start : await part(file, PICTURE_BYTES, signal);
    return { kind: 'png', blob: new Blob([all as Uint8Array<ArrayBuffer>], { type: 'image/png' }) };
  }
  const whole = file.size <= start.length;
  const text = decode(start, whole);
  if (text === undefined) return { kind: 'none', reason: 'This is neither text, CSV nor a PNG picture. Download it to look inside.' };
  return { kind: looksLikeCSV(file, text) ? 'csv' : 'text', text, whole };
}

/** Asks for the first bytes; reads no further even if the server sends everything. */
async function part(file: Viewable, length: number, signal: AbortSignal): Promise<Uint8Array> {
  const response = await send('GET', downloadPath(file), {
    headers: { Range: `bytes=0-${length - 1}` },
    signal,
  });
  const reader = response.body?.getReader();
  if (reader === undefined) return new Uint8Array();
  const out = new Uint8Array(length);
  let filled = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return out.subarray(0, filled);
    const fits = value.subarray(0, length - filled);
    out.set(fits, filled);
    filled += fits.length;
    if (filled === length) {
      await reader.cancel();
      return out;
    }
  }
}

/** The path that the file's own address has, on this origin whatever host it was written for. */
export function downloadPath(file: Viewable): string {
  const url = new URL(file.url, window.location.origin);
  return url.pathname + url.search;
}

export function isPNG(bytes: Uint8Array): boolean {
  return pngMagic.every((b, i) => bytes[i] === b);
}

/** UTF-8 text, or undefined for what is none. A cut may have split the last character. */
export function decode(bytes: Uint8Array, whole: boolean): string | undefined {
  if (bytes.includes(0)) return undefined;
  const decoder = new TextDecoder('utf-8', { fatal: true });
  for (let cut = 0; cut <= (whole ? 0 : 3); cut++) {
    try {
      return decoder.decode(bytes.subarray(0, bytes.length - cut));
    } catch {
      // Try again without the last byte.
    }
  }
  return undefined;
}

export function looksLikeCSV(file: Pick<Viewable, 'filename' | 'content_type'>, text: string): boolean {
  if (!/\.(csv|tsv)$/i.test(file.filename) && !/^text\/(csv|tab-separated-values)/.test(file.content_type)) return false;
  return /[,;\t|]/.test(text.split('\n', 1)[0] ?? '');
}

/** Downloads the whole file, hashes what arrived and says whether it is what the server stored. */
export async function verify(file: Viewable & { sha256: string }): Promise<boolean> {
  const response = await send('GET', downloadPath(file));
  const digest = await crypto.subtle.digest('SHA-256', await response.arrayBuffer());
  const hex = [...new Uint8Array(digest)].map((b) => b.toString(16).padStart(2, '0')).join('');
  return hex === file.sha256.toLowerCase();
}
