import { type Component, type Document, isInline, type Ref, rootOf, rootPointer } from './document';
import { slotsOf } from './graph';

export type Severity = 'error' | 'unready' | 'warning';

/** One thing that is wrong, as the server says it. */
export interface Finding {
  readonly pointer: string;
  readonly code: string;
  readonly severity: Severity;
  readonly message: string;
}

/** A finding with the place that a person knows. */
export interface Located extends Finding {
  /** The slots that lead to the component that it stands in; the last one is the node that it concerns most. */
  readonly trail: readonly string[];
  /** What of the innermost component it is about. */
  readonly on: { readonly kind: 'edge' | 'in' | 'out' | 'input' | 'output' | 'self'; readonly index: number };
}

/** Turns a pointer into the document into nodes, edges and ports. */
export function locate(doc: Document, finding: Finding): Located {
  const pointer = finding.pointer.startsWith(rootPointer(doc)) ? finding.pointer.slice(rootPointer(doc).length) : '';
  const tokens = pointer
    .split('/')
    .slice(1)
    .map((t) => t.replaceAll('~1', '/').replaceAll('~0', '~'));
  const trail: string[] = [];
  let at: Component | undefined = rootOf(doc);
  let rest = tokens;
  while (at !== undefined && rest[0] === 'implementation') {
    const step: { slot: string; rest: string[] } | undefined = stepOf(at, rest);
    if (step === undefined) break;
    trail.push(step.slot);
    rest = step.rest;
    const ref: Ref | undefined = slotsOf(at).find((s) => s.id === step.slot)?.ref;
    at = isInline(ref) ? ref : undefined;
  }
  return { ...finding, trail, on: partOf(rest) };
}

function stepOf(component: Component, tokens: readonly string[]): { slot: string; rest: string[] } | undefined {
  const [, member, index] = tokens;
  if (component.implementation.type === 'graph' && member === 'nodes') {
    const slot = slotsOf(component)[Number(index)]?.id;
    if (slot === undefined) return undefined;
    return { slot, rest: tokens.slice(tokens[3] === 'node' ? 4 : 3) };
  }
  if (member === 'node' || member === 'nodeTrue' || member === 'nodeFalse') return { slot: member, rest: tokens.slice(2) };
  return undefined;
}

function partOf(tokens: readonly string[]): Located['on'] {
  const [first, second, third] = tokens;
  const kinds: Readonly<Record<string, Located['on']['kind']>> = { edges: 'edge', inputMappings: 'in', outputMappings: 'out' };
  const kind = first === 'implementation' && second !== undefined ? kinds[second] : undefined;
  if (kind !== undefined && third !== undefined) return { kind, index: Number(third) };
  if (first === 'inputs' || first === 'outputs') return { kind: first === 'inputs' ? 'input' : 'output', index: Number(second ?? 0) };
  return { kind: 'self', index: -1 };
}

const order: Readonly<Record<Severity, number>> = { error: 0, unready: 1, warning: 2 };

export function worst(findings: readonly Finding[]): Severity | undefined {
  return findings.map((f) => f.severity).sort((a, b) => order[a] - order[b])[0];
}

export function bySeverity<F extends Finding>(findings: readonly F[]): F[] {
  return [...findings].sort((a, b) => order[a.severity] - order[b.severity]);
}

export function startsWith(trail: readonly string[], beginning: readonly string[]): boolean {
  return beginning.every((slot, i) => trail[i] === slot);
}

/** The findings about a slot of the component at a trail: its own, and those of everything inside it. */
export function about(findings: readonly Located[], trail: readonly string[], slot: string): Located[] {
  return findings.filter((f) => startsWith(f.trail, [...trail, slot]));
}

/** The findings about the component at a trail itself: its links, its ports and the rest. */
export function directly(findings: readonly Located[], trail: readonly string[]): Located[] {
  return findings.filter((f) => f.trail.length === trail.length && startsWith(f.trail, trail));
}
