import { type Document, isMap, isScalar, isSeq, LineCounter, type Node, parseDocument } from 'yaml';

/** An entry of the catalogue as somebody writes it: text in one of two languages, and what it says. */
export type Language = 'yaml' | 'json';
export type Entry = Readonly<Record<string, unknown>>;
export type Path = readonly (string | number)[];

export interface Fault {
  /** The key, as in "volumes[0].path"; empty for the whole. */
  readonly key: string;
  readonly message: string;
  /** Where it stands in the text, counted from 1. */
  readonly line?: number;
}

/** What a text says, or where it cannot be read. JSON is read as the YAML that it is too. */
export function read(text: string): { entry?: Entry; fault?: Fault } {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false });
  const [wrong] = document.errors;
  if (wrong !== undefined) return { fault: { key: '', message: firstLine(wrong.message), line: lines.linePos(wrong.pos[0]).line } };
  if (document.contents === null) return { entry: {} };
  if (!isMap(document.contents)) return { fault: { key: '', message: 'An app is written as keys and values.', line: 1 } };
  try {
    return { entry: document.toJS({ maxAliasCount: 20 }) as Entry };
  } catch (error) {
    return { fault: { key: '', message: error instanceof Error ? firstLine(error.message) : String(error) } };
  }
}

function firstLine(text: string): string {
  return text.split('\n', 1)[0] ?? text;
}

/** An entry as text. */
export function write(entry: Entry, language: Language): string {
  if (language === 'json') return `${JSON.stringify(entry, null, 2)}\n`;
  const document = parseDocument('');
  for (const [key, value] of Object.entries(entry)) put(document, [key], value);
  return shown(document);
}

/** The text in the other language. Comments have no place in JSON. */
export function translate(text: string, to: Language): string {
  const { entry } = read(text);
  return entry === undefined ? text : write(entry, to);
}

/**
 * The text with another value at the path, and everything else as it was, comments too. An empty value
 * takes the key out, and what is empty without it.
 */
export function change(text: string, language: Language, path: Path, value: unknown): string {
  if (language === 'json') {
    const { entry } = read(text);
    if (entry === undefined) return text;
    const document = parseDocument(JSON.stringify(entry));
    put(document, path, value);
    return write((document.toJS() ?? {}) as Entry, 'json');
  }
  const document = parseDocument(text);
  if (document.errors.length > 0) return text;
  put(document, path, value);
  return shown(document);
}

function shown(document: Document): string {
  const text = document.contents === null || (isMap(document.contents) && document.contents.items.length === 0) ? '' : document.toString({ lineWidth: 0 });
  return text;
}

function put(document: Document, path: Path, value: unknown): void {
  if (isEmpty(value)) {
    take(document, path);
    return;
  }
  // A plain value goes into the node that is there, which keeps the comment beside it.
  document.setIn(path, typeof value === 'object' ? onOneLine(document.createNode(value)) : value);
}

/** Short lists of words read best on one line. */
function onOneLine(node: Node): Node {
  if (isSeq(node) && node.items.every((item) => isScalar(item)) && JSON.stringify(node).length <= 70) node.flow = true;
  else if (isSeq(node)) for (const item of node.items) onOneLine(item as Node);
  else if (isMap(node)) for (const pair of node.items) onOneLine(pair.value as Node);
  return node;
}

function take(document: Document, path: Path): void {
  if (!document.hasIn(path)) return;
  document.deleteIn(path);
  const above = path.slice(0, -1);
  if (above.length === 0) return;
  const parent = document.getIn(above);
  if ((isMap(parent) || isSeq(parent)) && parent.items.length === 0) take(document, above);
}

function isEmpty(value: unknown): boolean {
  return (
    value === undefined ||
    value === null ||
    value === '' ||
    (Array.isArray(value) && value.length === 0) ||
    (typeof value === 'object' && !Array.isArray(value) && Object.keys(value).length === 0)
  );
}

/** The value at a path. */
export function at(entry: Entry, path: Path): unknown {
  let value: unknown = entry;
  for (const step of path) {
    if (typeof value !== 'object' || value === null) return undefined;
    value = (value as Record<string | number, unknown>)[step];
  }
  return value;
}

/** "volumes[0].path" as a path. */
export function pathOf(key: string): Path {
  return [...key.matchAll(/[^.[\]]+|\[(\d+)\]/g)].map(([step, index]) => (index === undefined ? step : Number(index)));
}

/** The line on which a key stands, or what is next to it on the way down. */
export function lineOf(text: string, key: string): number | undefined {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false });
  let node: unknown = document.contents;
  let found: number | undefined;
  for (const step of pathOf(key)) {
    let next: unknown;
    let place: readonly number[] | null | undefined;
    if (isMap(node)) {
      const pair = node.items.find((p) => isScalar(p.key) && String(p.key.value) === String(step));
      next = pair?.value;
      place = isScalar(pair?.key) ? pair.key.range : undefined;
    } else if (isSeq(node) && typeof step === 'number') {
      next = node.items[step];
      place = (next as { range?: readonly number[] | null } | undefined)?.range;
    }
    if (place === undefined || place === null) break;
    found = lines.linePos(place[0] ?? 0).line;
    node = next;
  }
  return found;
}

/** Where in a text a line begins and ends. */
export function lineRange(text: string, line: number): [number, number] {
  const lines = text.split('\n');
  const start = lines.slice(0, line - 1).reduce((sum, l) => sum + l.length + 1, 0);
  return [start, start + (lines[line - 1]?.length ?? 0)];
}

/** The faults that belong to a field: those at its key, and those below it where it stands for all of them. */
export function faultsAt(faults: readonly Fault[], key: string, below = false): string | undefined {
  const mine = faults.filter((f) => f.key === key || (below && (f.key.startsWith(`${key}.`) || f.key.startsWith(`${key}[`))));
  return mine.length === 0 ? undefined : mine.map((f) => f.message).join('; ');
}

/** "A=1" lines as names and values; a line without "=" is kept as a name until it has one. */
export function variablesOf(lines: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    lines
      .map((l) => l.trim())
      .filter((l) => l !== '')
      .map((l) => {
        const cut = l.indexOf('=');
        return cut < 0 ? [l, ''] : [l.slice(0, cut).trim(), l.slice(cut + 1)];
      }),
  );
}

export function linesOf(variables: unknown): string[] {
  if (typeof variables !== 'object' || variables === null) return [];
  return Object.entries(variables as Record<string, unknown>).map(([name, value]) => `${name}=${text(value)}`);
}

/** A value of an entry as a field shows it. */
export function text(value: unknown): string {
  return typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean' ? String(value) : '';
}

export function words(value: unknown): string[] {
  return Array.isArray(value) ? value.map(text) : [];
}

export const ID_RULE = 'Lower-case letters, digits and single hyphens, beginning with a letter, 20 at most.';

export function idProblem(id: string, taken: readonly string[]): string | undefined {
  if (id === '') return 'An app needs an id. It is for ever: it stands in addresses and in names of storage.';
  if (id.length > 20 || !/^[a-z][a-z0-9]*(-[a-z0-9]+)*$/.test(id)) return ID_RULE;
  return taken.includes(id) ? 'There is an app of this id already.' : undefined;
}

/** Keys that an entry of the API has filled in and that say nothing: they would only be in the way. */
const usual: Entry = {
  group: 'apps',
  port: 8080,
  base_path: '{prefix}',
  ready: { path: '/', status: ['200-399', 401, 403], timeout: '1m' },
  start_timeout: '5m',
  activity: { http: 'user', websocket: 'input', ignore_frames: ['2', '3'] },
  warn_before: '5m',
  extend: { step: '1h', max: '4h' },
  security: { run_as: '10001', egress: 'internet' },
  response_header_timeout: '2m',
  max_connections: 256,
  max_websockets: 64,
};

/** An entry without what it would have anyway. What people look for first is left: limits and times. */
export function essential(entry: Entry): Entry {
  return without(entry, usual);
}

function without(entry: Entry, defaults: Entry): Entry {
  return Object.fromEntries(
    Object.entries(entry).flatMap(([key, value]): [string, unknown][] => {
      const usually = defaults[key];
      if (JSON.stringify(value) === JSON.stringify(usually)) return [];
      if (isObject(value) && isObject(usually)) {
        const rest = without(value, usually);
        return isEmpty(rest) ? [] : [[key, rest]];
      }
      return isEmpty(value) ? [] : [[key, value]];
    }),
  );
}

function isObject(value: unknown): value is Entry {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
