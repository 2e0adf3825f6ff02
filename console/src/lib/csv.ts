/** Reads CSV as RFC 4180 has it: quoted fields may hold separators, quotes and line ends. */
export function parseCSV(text: string, maxRows: number, separator = guessSeparator(text)): string[][] {
  const rows: string[][] = [];
  let row: string[] = [];
  let field = '';
  let quoted = false;
  const endField = () => {
    row.push(field);
    field = '';
  };
  const endRow = () => {
    endField();
    rows.push(row);
    row = [];
  };
  for (let i = 0; i < text.length && rows.length < maxRows; i++) {
    const c = text.charAt(i);
    if (quoted) {
      if (c !== '"') field += c;
      else if (text.charAt(i + 1) === '"') {
        field += '"';
        i++;
      } else quoted = false;
    } else if (c === '"' && field === '') quoted = true;
    else if (c === separator) endField();
    else if (c === '\n') endRow();
    else if (c !== '\r') field += c;
  }
  if (rows.length < maxRows && (field !== '' || row.length > 0)) endRow();
  return rows;
}

/** The separator that the first line has most of. */
export function guessSeparator(text: string): string {
  const line = text.slice(0, 4096).split('\n', 1)[0] ?? '';
  const seen = [',', ';', '\t', '|'].map((s) => ({ s, n: line.split(s).length }));
  return seen.reduce((best, next) => (next.n > best.n ? next : best), { s: ',', n: 1 }).s;
}
