import type { Document } from './document';

/** What was changed and not saved yet: it survives a reload and a login, in this tab. */
export interface Draft {
  /** The moment of the version that was changed; nothing for what is new. */
  readonly base: string | undefined;
  readonly doc: Document;
}

const key = (kind: string, id: string) => `draft:${kind}:${id}`;

export function loadDraft(kind: string, id: string): Draft | undefined {
  try {
    const kept = sessionStorage.getItem(key(kind, id));
    return kept === null ? undefined : (JSON.parse(kept) as Draft);
  } catch {
    return undefined;
  }
}

export function keepDraft(kind: string, id: string, draft: Draft | undefined): void {
  try {
    if (draft === undefined) sessionStorage.removeItem(key(kind, id));
    else sessionStorage.setItem(key(kind, id), JSON.stringify(draft));
  } catch {
    // Storage is full or forbidden: the draft then lives as long as the page.
  }
}

/** Whether two documents are alike to the last place on the canvas. */
export function alike(a: Document | undefined, b: Document | undefined): boolean {
  return a === b || stable(a) === stable(b);
}

function stable(value: unknown): string {
  if (value === undefined) return '';
  return JSON.stringify(value, (_, v: unknown) =>
    typeof v === 'object' && v !== null && !Array.isArray(v) ? Object.fromEntries(Object.entries(v).sort(([a], [b]) => (a < b ? -1 : 1))) : v,
  );
}
