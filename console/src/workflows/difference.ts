import { type Component, type Document, type Edge, isInline, kindWord, type Port, type Ref, rootOf } from './document';
import { mappingsOf, slotsOf } from './graph';

/** One thing that is not the same in two versions, in words. */
export interface Difference {
  readonly what: 'added' | 'removed' | 'changed';
  /** What it is about, such as "node fit" or "input x". */
  readonly subject: string;
  readonly before: string;
  readonly after: string;
}

/** Everything that differs between two versions of a thing. What the server writes by itself is left out. */
export function differences(before: Document, after: Document): Difference[] {
  const found: Difference[] = [];
  compare(found, 'the name', before.name, after.name);
  compare(found, 'the description', before.description, after.description);
  if (before.type === 'workflow' && after.type === 'workflow') {
    compare(found, 'the component’s name', before.component.name, after.component.name);
    compare(found, 'the component’s description', before.component.description, after.component.description);
  }
  components(found, '', rootOf(before), rootOf(after));
  return found;
}

function components(found: Difference[], of: string, a: Component, b: Component): void {
  named(found, `input${of}`, a.inputs ?? [], b.inputs ?? [], (d) => d.name);
  named(found, `output${of}`, a.outputs ?? [], b.outputs ?? [], (d) => d.name);
  const [x, y] = [a.implementation, b.implementation];
  if (x.type !== y.type) {
    push(found, `the kind${of}`, kindWord(x.type), kindWord(y.type));
    return;
  }
  if (x.type === 'brick' && y.type === 'brick') {
    members(found, `the container’s `, of, x.container, y.container);
    listed(found, `argument${of}`, x.args ?? [], y.args ?? []);
    listed(found, `result${of}`, x.results ?? [], y.results ?? []);
    return;
  }
  if (x.type === 'conditional' && y.type === 'conditional') compare(found, `the condition${of}`, x.expression, y.expression);
  nodes(found, of, a, b);
  const edges = (c: Component): Edge[] => (c.implementation.type === 'graph' ? (c.implementation.edges ?? []) : []);
  links(found, `connection${of}`, edges(a), edges(b));
  links(found, `input connection${of}`, mappingsOf(a).inputMappings, mappingsOf(b).inputMappings);
  links(found, `output connection${of}`, mappingsOf(a).outputMappings, mappingsOf(b).outputMappings);
}

function nodes(found: Difference[], of: string, a: Component, b: Component): void {
  const [before, after] = [slotsOf(a), slotsOf(b)];
  for (const s of before) {
    const now = after.find((o) => o.id === s.id);
    if (s.ref === undefined && now?.ref === undefined) continue;
    if (now?.ref === undefined) found.push({ what: 'removed', subject: `node ${s.id}${of}`, before: refText(s.ref), after: '' });
    else if (s.ref === undefined) found.push({ what: 'added', subject: `node ${s.id}${of}`, before: '', after: refText(now.ref) });
    else if (isInline(s.ref) && isInline(now.ref)) {
      compare(found, `the name of node ${s.id}${of}`, s.ref.name, now.ref.name);
      components(found, ` of node ${s.id}${of}`, s.ref, now.ref);
    } else push(found, `node ${s.id}${of}`, refText(s.ref), refText(now.ref));
  }
  for (const s of after) {
    if (s.ref !== undefined && !before.some((o) => o.id === s.id)) found.push({ what: 'added', subject: `node ${s.id}${of}`, before: '', after: refText(s.ref) });
  }
}

function refText(ref: Ref | undefined): string {
  if (ref === undefined) return '';
  if (isInline(ref)) return `a ${kindWord(ref.implementation.type)} of its own${ref.name === undefined ? '' : `, ${ref.name}`}`;
  const { uid, version } = typeof ref === 'string' ? { uid: ref, version: undefined } : ref;
  return `component ${uid.slice(0, 8)}${version === undefined || version === 0 ? ', the newest' : `, version ${version}`}`;
}

function links(found: Difference[], subject: string, a: readonly Edge[], b: readonly Edge[]): void {
  const text = (p: Port) => (p.node === undefined || p.node === '' ? p.port : `${p.node}.${p.port}`);
  const edge = (e: Edge) => `${text(e.source)} → ${text(e.target)}`;
  const [before, after] = [a.map(edge), b.map(edge)];
  for (const e of before) if (!after.includes(e)) found.push({ what: 'removed', subject, before: e, after: '' });
  for (const e of after) if (!before.includes(e)) found.push({ what: 'added', subject, before: '', after: e });
}

/** Things that are known by a name: where one stands in the list matters to nobody. */
function named<T>(found: Difference[], subject: string, a: readonly T[], b: readonly T[], nameOf: (x: T) => string): void {
  for (const x of a) {
    const y = b.find((o) => nameOf(o) === nameOf(x));
    if (y === undefined) found.push({ what: 'removed', subject: `${subject} ${nameOf(x)}`, before: show(x), after: '' });
    else compare(found, `${subject} ${nameOf(x)}`, x, y);
  }
  for (const y of b) {
    if (!a.some((o) => nameOf(o) === nameOf(y))) found.push({ what: 'added', subject: `${subject} ${nameOf(y)}`, before: '', after: show(y) });
  }
}

function listed(found: Difference[], subject: string, a: readonly unknown[], b: readonly unknown[]): void {
  for (let i = 0; i < Math.max(a.length, b.length); i++) compare(found, `${subject} ${i + 1}`, a[i], b[i]);
}

function members(found: Difference[], subject: string, of: string, a: Record<string, unknown>, b: Record<string, unknown>): void {
  for (const name of [...new Set([...Object.keys(a), ...Object.keys(b)])]) compare(found, `${subject}${name}${of}`, a[name], b[name]);
}

function compare(found: Difference[], subject: string, a: unknown, b: unknown): void {
  if (canonical(a) !== canonical(b)) push(found, subject, show(a), show(b));
}

function push(found: Difference[], subject: string, before: string, after: string): void {
  if (before !== after) found.push({ what: before === '' ? 'added' : after === '' ? 'removed' : 'changed', subject, before, after });
}

function show(value: unknown): string {
  if (value === undefined || value === '') return '';
  return typeof value === 'string' ? value : canonical(value);
}

/** JSON whose members stand in one order; where something is drawn is no difference. */
export function canonical(value: unknown): string {
  if (value === undefined) return '';
  return JSON.stringify(value, (key, v: unknown) => {
    if (key === 'userdata' && typeof v === 'object' && v !== null) {
      const { graphPosition: _, ...rest } = v as Record<string, unknown>;
      return Object.keys(rest).length === 0 ? undefined : rest;
    }
    if (typeof v !== 'object' || v === null || Array.isArray(v)) return v;
    return Object.fromEntries(Object.entries(v).sort(([a], [b]) => (a < b ? -1 : 1)));
  });
}
