import {
  type Component,
  type Conditional,
  type Data,
  type Edge,
  type GraphNode,
  isInline,
  type Mappings,
  type Point,
  pointOf,
  type Port,
  type PortType,
  type Ref,
} from './document';

/**
 * Pure functions on a component that contains others. A graph has nodes, a map one and a conditional two;
 * here all of them are slots, and edges and mappings alike are links, so that one canvas shows them all.
 */
export interface Slot {
  readonly id: string;
  readonly ref: Ref | undefined;
  readonly label: string;
  readonly at: Point | undefined;
}

export type LinkKind = 'edge' | 'in' | 'out';

export interface Link {
  /** Unique in its component: the list that it stands in, its place there and, if it is drawn more than once, the slot. */
  readonly key: string;
  readonly kind: LinkKind;
  readonly index: number;
  readonly source: Port;
  readonly target: Port;
}

/** Finds the component that a reference names; undefined while it is not known. */
export type Resolve = (ref: Ref | undefined) => Component | undefined;

export function slotsOf(component: Component): Slot[] {
  const it = component.implementation;
  switch (it.type) {
    case 'graph':
      return (it.nodes ?? []).map((n) => ({ id: n.id, ref: n.node, label: n.id, at: pointOf(n.userdata) }));
    case 'map':
      return [{ id: 'node', ref: it.node, label: 'for each', at: undefined }];
    case 'conditional':
      return [
        { id: 'nodeTrue', ref: it.nodeTrue, label: 'if so', at: undefined },
        { id: 'nodeFalse', ref: it.nodeFalse, label: 'if not', at: undefined },
      ];
    default:
      return [];
  }
}

export function mappingsOf(component: Component): Required<Mappings> {
  const it = component.implementation;
  if (it.type === 'brick' || it.type === 'any') return { inputMappings: [], outputMappings: [] };
  return { inputMappings: it.inputMappings ?? [], outputMappings: it.outputMappings ?? [] };
}

export function linksOf(component: Component): Link[] {
  const it = component.implementation;
  const { inputMappings, outputMappings } = mappingsOf(component);
  if (it.type === 'graph') {
    const links = (kind: LinkKind, edges: readonly Edge[]): Link[] =>
      edges.map((e, index) => ({ key: `${kind}:${index}`, kind, index, source: e.source, target: e.target }));
    return [...links('edge', it.edges ?? []), ...links('in', inputMappings), ...links('out', outputMappings)];
  }
  // The mappings of maps and conditionals name no node: they hold for each of the slots that is there.
  return slotsOf(component)
    .filter((s) => s.ref !== undefined)
    .flatMap(({ id }) => [
      ...inputMappings.map((e, index): Link => ({ key: `in:${index}:${id}`, kind: 'in', index, source: { port: e.source.port }, target: { node: id, port: e.target.port } })),
      ...outputMappings.map((e, index): Link => ({ key: `out:${index}:${id}`, kind: 'out', index, source: { node: id, port: e.source.port }, target: { port: e.target.port } })),
    ]);
}

/** What passes through a port that a link can begin at: an own input, or a node's output. */
export function sourceType(component: Component, port: Port, resolve: Resolve): PortType | undefined {
  const ports = port.node ? resolve(refOf(component, port.node))?.outputs : component.inputs;
  return ports?.find((d) => d.name === port.port)?.type;
}

/** What a port takes that a link can end at: an own output, or a node's input. */
export function targetType(component: Component, port: Port, resolve: Resolve): PortType | undefined {
  const ports = port.node ? resolve(refOf(component, port.node))?.inputs : component.outputs;
  return ports?.find((d) => d.name === port.port)?.type;
}

export function refOf(component: Component, slot: string): Ref | undefined {
  return slotsOf(component).find((s) => s.id === slot)?.ref;
}

/** A list goes into a text as a whole or one by one, and a text may hold a list; all else must be of one type. */
export function fits(source: PortType | undefined, target: PortType | undefined): boolean {
  if (source === undefined || target === undefined || source === target) return true;
  const text = (t: PortType) => t === 'parameter' || t === 'parameter_array';
  return text(source) && text(target);
}

/** Why two ports cannot be connected; undefined when they can. */
export function refusal(component: Component, source: Port, target: Port, resolve: Resolve): string | undefined {
  if (!source.node && !target.node) return 'An input cannot lead straight to an output: a node has to stand between them.';
  if (source.node !== undefined && source.node === target.node) return 'A node cannot feed itself.';
  if (component.implementation.type !== 'graph' && source.node && target.node) return 'The two ways of a conditional do not feed each other.';
  const [from, to] = [sourceType(component, source, resolve), targetType(component, target, resolve)];
  if (!fits(from, to)) return `A ${from ?? ''} does not fit into a ${to ?? ''}.`;
  if (source.node && target.node && waitsFor(component, source.node, target.node)) return 'The nodes would wait for each other for ever.';
  return undefined;
}

/** Whether a node waits, over edges, for another one. */
export function waitsFor(component: Component, node: string, other: string): boolean {
  const links = linksOf(component).filter((l) => l.kind === 'edge');
  const seen = new Set<string>();
  const open = [node];
  for (let at = open.pop(); at !== undefined; at = open.pop()) {
    if (at === other) return true;
    if (seen.has(at)) continue;
    seen.add(at);
    for (const l of links) if (l.target.node === at && l.source.node) open.push(l.source.node);
  }
  return false;
}

/** Connects two ports. What fed the target before does no longer. */
export function connect(component: Component, source: Port, target: Port): Component {
  const it = component.implementation;
  if (it.type === 'brick' || it.type === 'any') return component;
  const fed = (e: Edge) => same(e.target, target);
  if (it.type === 'graph') {
    const edge: Edge = { source: clean(source), target: clean(target) };
    const inside = source.node !== undefined && target.node !== undefined;
    return withImplementation(component, {
      ...it,
      edges: add(it.edges, inside ? edge : undefined, fed),
      inputMappings: add(it.inputMappings, source.node === undefined ? edge : undefined, fed),
      outputMappings: add(it.outputMappings, target.node === undefined ? edge : undefined, fed),
    });
  }
  const edge: Edge = { source: { port: source.port }, target: { port: target.port } };
  const sameTarget = (e: Edge) => e.target.port === target.port;
  return withImplementation(
    component,
    source.node === undefined
      ? { ...it, inputMappings: add(it.inputMappings, edge, sameTarget) }
      : { ...it, outputMappings: add(it.outputMappings, edge, sameTarget) },
  );
}

function add(edges: readonly Edge[] | undefined, edge: Edge | undefined, replaces: (e: Edge) => boolean): Edge[] {
  const rest = (edges ?? []).filter((e) => !replaces(e));
  return edge === undefined ? rest : [...rest, edge];
}

function same(a: Port, b: Port): boolean {
  return a.port === b.port && (a.node ?? '') === (b.node ?? '');
}

function clean(port: Port): Port {
  return port.node === undefined || port.node === '' ? { port: port.port } : { port: port.port, node: port.node };
}

/** Takes links away, by their keys. */
export function disconnect(component: Component, keys: readonly string[]): Component {
  const it = component.implementation;
  if (it.type === 'brick' || it.type === 'any') return component;
  const gone = new Set(keys.map((k) => k.split(':').slice(0, 2).join(':')));
  const keep = (kind: LinkKind, edges: readonly Edge[] | undefined) => (edges ?? []).filter((_, i) => !gone.has(`${kind}:${i}`));
  const mappings = { inputMappings: keep('in', it.inputMappings), outputMappings: keep('out', it.outputMappings) };
  return withImplementation(component, it.type === 'graph' ? { ...it, ...mappings, edges: keep('edge', it.edges) } : { ...it, ...mappings });
}

/** What feeds a port, if anything does. */
export function feedOf(component: Component, target: Port): Link | undefined {
  return linksOf(component).find((l) => same(l.target, target));
}

/** Every port that could feed this one. */
export function sourcesFor(component: Component, target: Port, resolve: Resolve): Port[] {
  const own = target.node === undefined ? [] : (component.inputs ?? []).map((d): Port => ({ port: d.name }));
  const others = slotsOf(component).flatMap((s) => (resolve(s.ref)?.outputs ?? []).map((d): Port => ({ node: s.id, port: d.name })));
  return [...own, ...others].filter((source) => refusal(component, source, target, resolve) === undefined);
}

/** Puts a component into a graph, or into the first empty slot of a map or a conditional. Its id comes back too. */
export function place(component: Component, ref: Ref, name: string, at: Point): { component: Component; id: string } | undefined {
  const it = component.implementation;
  switch (it.type) {
    case 'graph': {
      const id = freshId(name, (it.nodes ?? []).map((n) => n.id));
      const node: GraphNode = { id, node: ref, userdata: { graphPosition: rounded(at) } };
      return { id, component: withImplementation(component, { ...it, nodes: [...(it.nodes ?? []), node] }) };
    }
    case 'map':
      return it.node === undefined ? { id: 'node', component: withImplementation(component, { ...it, node: ref }) } : undefined;
    case 'conditional':
      if (it.nodeTrue === undefined) return { id: 'nodeTrue', component: withImplementation(component, { ...it, nodeTrue: ref }) };
      if (it.nodeFalse === undefined) return { id: 'nodeFalse', component: withImplementation(component, { ...it, nodeFalse: ref }) };
      return undefined;
    default:
      return undefined;
  }
}

/** An id that reads like the name and that no other node has. */
export function freshId(name: string, taken: readonly string[]): string {
  const stem =
    name
      .toLowerCase()
      .replace(/[^a-z0-9]+/g, '-')
      .replace(/^[^a-z]+|-+$/g, '')
      .slice(0, 40) || 'node';
  for (let n = 1; ; n++) {
    const id = n === 1 ? stem : `${stem}-${n}`;
    if (!taken.includes(id)) return id;
  }
}

/** Takes nodes away, with everything that was connected to them. */
export function removeSlots(component: Component, ids: readonly string[]): Component {
  const it = component.implementation;
  switch (it.type) {
    case 'graph': {
      const stays = (e: Edge) => !ids.includes(e.source.node ?? '') && !ids.includes(e.target.node ?? '');
      return withImplementation(component, {
        ...it,
        nodes: (it.nodes ?? []).filter((n) => !ids.includes(n.id)),
        edges: (it.edges ?? []).filter(stays),
        inputMappings: (it.inputMappings ?? []).filter(stays),
        outputMappings: (it.outputMappings ?? []).filter(stays),
      });
    }
    case 'map': {
      const { node: _, ...rest } = it;
      return ids.includes('node') ? withImplementation(component, { ...rest, inputMappings: [], outputMappings: [] }) : component;
    }
    case 'conditional': {
      let next: Conditional = it;
      if (ids.includes('nodeTrue')) {
        const { nodeTrue: _, ...rest } = next;
        next = rest;
      }
      if (ids.includes('nodeFalse')) {
        const { nodeFalse: _, ...rest } = next;
        next = rest;
      }
      return withImplementation(component, next);
    }
    default:
      return component;
  }
}

export const nodeIdForm = /^[a-zA-Z][-a-zA-Z0-9]*$/;
export const portNameForm = /^[a-zA-Z][-a-zA-Z0-9_]*$/;

/** Gives a node another id, and tells its edges. */
export function renameNode(component: Component, id: string, to: string): Component {
  const it = component.implementation;
  if (it.type !== 'graph') return component;
  const port = (p: Port): Port => (p.node === id ? { ...p, node: to } : p);
  const edge = (e: Edge): Edge => ({ source: port(e.source), target: port(e.target) });
  return withImplementation(component, {
    ...it,
    nodes: (it.nodes ?? []).map((n) => (n.id === id ? { ...n, id: to } : n)),
    edges: (it.edges ?? []).map(edge),
    inputMappings: (it.inputMappings ?? []).map(edge),
    outputMappings: (it.outputMappings ?? []).map(edge),
  });
}

/** Puts another component into a slot. Connections stay: those that no longer fit are findings. */
export function replaceRef(component: Component, slot: string, ref: Ref): Component {
  const it = component.implementation;
  switch (it.type) {
    case 'graph':
      return withImplementation(component, { ...it, nodes: (it.nodes ?? []).map((n) => (n.id === slot ? { ...n, node: ref } : n)) });
    case 'map':
      return withImplementation(component, { ...it, node: ref });
    case 'conditional':
      return withImplementation(component, { ...it, [slot]: ref });
    default:
      return component;
  }
}

export function movePositions(component: Component, positions: Readonly<Record<string, Point>>): Component {
  const it = component.implementation;
  if (it.type !== 'graph') return component;
  return withImplementation(component, {
    ...it,
    nodes: (it.nodes ?? []).map((n) => {
      const at = positions[n.id];
      return at === undefined ? n : { ...n, userdata: { ...n.userdata, graphPosition: rounded(at) } };
    }),
  });
}

function rounded({ x, y }: Point): Point {
  return { x: Math.round(x), y: Math.round(y) };
}

export type Side = 'inputs' | 'outputs';

export function addPort(component: Component, side: Side, type: PortType = 'parameter', wish?: string): { component: Component; name: string } {
  const taken = (component[side] ?? []).map((d) => d.name);
  const stem = wish ?? (side === 'inputs' ? 'input' : 'output');
  let name = stem;
  for (let n = 2; taken.includes(name); n++) name = `${stem}-${n}`;
  return { name, component: { ...component, [side]: [...(component[side] ?? []), { name, type }] } };
}

/** Changes a port. What was connected to its name follows it, inside; whoever uses the component sees a finding. */
export function changePort(component: Component, side: Side, index: number, data: Data): Component {
  const ports = component[side] ?? [];
  const before = ports[index];
  if (before === undefined) return component;
  const next: Component = { ...component, [side]: ports.map((d, i) => (i === index ? data : d)) };
  return before.name === data.name ? next : followName(next, side, before.name, data.name);
}

export function removePort(component: Component, side: Side, index: number): Component {
  const gone = (component[side] ?? [])[index]?.name;
  const next: Component = { ...component, [side]: (component[side] ?? []).filter((_, i) => i !== index) };
  const it = next.implementation;
  if (gone === undefined || it.type === 'any') return next;
  if (it.type === 'brick') {
    return withImplementation(next, {
      ...it,
      args: (it.args ?? []).filter((a) => !(side === 'inputs' && typeof a.source === 'object' && a.source.port === gone)),
      results: (it.results ?? []).filter((r) => !(side === 'outputs' && r.target.port === gone)),
    });
  }
  return withImplementation(next, {
    ...it,
    inputMappings: (it.inputMappings ?? []).filter((e) => !(side === 'inputs' && e.source.port === gone)),
    outputMappings: (it.outputMappings ?? []).filter((e) => !(side === 'outputs' && e.target.port === gone)),
  });
}

function followName(component: Component, side: Side, from: string, to: string): Component {
  const it = component.implementation;
  const port = (p: Port): Port => (p.port === from ? { ...p, port: to } : p);
  if (it.type === 'any') return component;
  if (it.type === 'brick') {
    return withImplementation(component, {
      ...it,
      args: (it.args ?? []).map((a) => (side === 'inputs' && typeof a.source === 'object' ? { ...a, source: port(a.source) } : a)),
      results: (it.results ?? []).map((r) => (side === 'outputs' ? { ...r, target: port(r.target) } : r)),
    });
  }
  const next = withImplementation(component, {
    ...it,
    inputMappings: (it.inputMappings ?? []).map((e) => (side === 'inputs' ? { ...e, source: port(e.source) } : e)),
    outputMappings: (it.outputMappings ?? []).map((e) => (side === 'outputs' ? { ...e, target: port(e.target) } : e)),
  });
  const expression = next.implementation.type === 'conditional' && side === 'inputs' ? next.implementation.expression : undefined;
  if (expression === undefined || next.implementation.type !== 'conditional') return next;
  const operand = (o: string | Data) => (typeof o === 'object' && o.name === from ? { ...o, name: to } : o);
  return withImplementation(next, { ...next.implementation, expression: { ...expression, left: operand(expression.left), right: operand(expression.right) } });
}

/** Inputs and outputs that the inner component has, and connections to all of them. */
export function adoptPorts(component: Component, inner: Component): Component {
  const it = component.implementation;
  if (it.type !== 'map' && it.type !== 'conditional') return component;
  const isMap = it.type === 'map';
  const own = (ports: readonly Data[] | undefined, list: boolean): Data[] =>
    (ports ?? []).map((d) => ({ name: d.name, type: list && d.type === 'parameter' ? 'parameter_array' : d.type }));
  const straight = (ports: readonly Data[] | undefined): Edge[] => (ports ?? []).map((d) => ({ source: { port: d.name }, target: { port: d.name } }));
  const firstList = (inner.inputs ?? []).findIndex((d) => d.type === 'parameter');
  const inputs = own(inner.inputs, false).map((d, i) => (isMap && i === firstList ? { ...d, type: 'parameter_array' as const } : d));
  return {
    ...component,
    inputs,
    outputs: own(inner.outputs, isMap),
    implementation: { ...it, inputMappings: straight(inner.inputs), outputMappings: straight(inner.outputs) },
  };
}

export function withImplementation(component: Component, implementation: Component['implementation']): Component {
  return { ...component, implementation };
}

/** The component at the end of a way through slots: inline ones, or those that resolve finds. */
export function componentAt(root: Component, trail: readonly string[], resolve: Resolve): { component: Component; inline: boolean } | undefined {
  let at: Component = root;
  let inline = true;
  for (const slot of trail) {
    const ref = refOf(at, slot);
    if (ref === undefined) return undefined;
    inline &&= isInline(ref);
    const next = isInline(ref) ? ref : resolve(ref);
    if (next === undefined) return undefined;
    at = next;
  }
  return { component: at, inline };
}

/** Changes the inline component at the end of a way through slots. */
export function updateAt(root: Component, trail: readonly string[], change: (c: Component) => Component): Component {
  const [slot, ...rest] = trail;
  if (slot === undefined) return change(root);
  const ref = refOf(root, slot);
  return isInline(ref) ? replaceRef(root, slot, updateAt(ref, rest, change)) : root;
}

/** Every reference to the library in a component, however deep. */
export function referencesIn(component: Component): Ref[] {
  return slotsOf(component).flatMap((s) => (s.ref === undefined ? [] : isInline(s.ref) ? referencesIn(s.ref) : [s.ref]));
}
