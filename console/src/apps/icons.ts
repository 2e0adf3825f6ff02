/** The names that an entry's icon can have in this console. */
export const iconNames = [
  'activity',
  'book',
  'bot',
  'boxes',
  'brain',
  'calculator',
  'chart',
  'code',
  'database',
  'desktop',
  'dna',
  'flask',
  'globe',
  'health',
  'image',
  'microscope',
  'notebook',
  'pen',
  'radio',
  'table',
  'terminal',
  'window',
] as const;

export type Wanted = { readonly kind: 'name' | 'sign'; readonly text: string } | { readonly kind: 'none' };

/** What an entry's icon stands for: a name of ours, perhaps written as a file, or one sign such as an emoji. */
export function nameOfIcon(icon: string): Wanted {
  const text = icon.trim();
  const name = text.replace(/\.(svg|png)$/i, '').toLowerCase();
  if ((iconNames as readonly string[]).includes(name)) return { kind: 'name', text: name };
  // An emoji may be several code points; a word is none.
  if (text !== '' && text.length <= 8 && !/[\p{L}\p{N}./:]{2}/u.test(text)) return { kind: 'sign', text };
  return { kind: 'none' };
}
