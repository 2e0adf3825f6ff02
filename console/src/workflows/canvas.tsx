import '@xyflow/react/dist/base.css';
import { ActionIcon, Tooltip } from '@mantine/core';
import {
  Background,
  type Connection,
  ConnectionLineType,
  type Edge as FlowEdge,
  type EdgeChange,
  Handle,
  type Node as FlowNode,
  type NodeChange,
  type NodeProps,
  Panel,
  Position,
  ReactFlow,
  ReactFlowProvider,
  useReactFlow,
  useUpdateNodeInternals,
  applyNodeChanges,
} from '@xyflow/react';
import { CircleAlert, CircleX, Maximize, Minus, Plus, TriangleAlert } from 'lucide-react';
import { createContext, type DragEvent, useContext, useEffect, useMemo, useRef, useState } from 'react';
import { type Component, type Data, isInline, kindWord, type Point, type Port, typeWord } from './document';
import { about, directly, type Located, worst } from './finding';
import { linksOf, type Resolve, type Slot, slotsOf, sourceType } from './graph';
import { CARD_WIDTH, INPUTS, NODE_WIDTH, OUTPUTS, placesOf } from './layout';
import { KindIcon, PhaseMark, TypeMark } from './mark';
import { phaseLook } from './run';
import classes from './canvas.module.css';

export interface Picked {
  readonly slots: readonly string[];
  readonly links: readonly string[];
}

export const nothingPicked: Picked = { slots: [], links: [] };

/** What can be done on a canvas that is not only looked at. */
export interface Editing {
  readonly onMove: (positions: Record<string, Point>) => void;
  readonly onConnect: (source: Port, target: Port) => void;
  readonly refusal: (source: Port, target: Port) => string | undefined;
  readonly onRemove: (picked: Picked) => void;
  readonly onDropped: (event: DragEvent, at: Point) => void;
}

interface Props {
  readonly label: string;
  readonly component: Component;
  readonly resolve: Resolve;
  readonly findings?: readonly Located[];
  /** The slots that lead here, for the findings. */
  readonly trail?: readonly string[];
  /** How far each slot of a run is. */
  readonly phases?: Readonly<Record<string, string | undefined>>;
  readonly picked: Picked;
  readonly onPick: (picked: Picked) => void;
  readonly onOpen?: (slot: string) => void;
  readonly editing?: Editing;
}

interface SlotData extends Record<string, unknown> {
  slot: Slot;
  inner: Component | undefined;
  findings: readonly Located[];
  phase: string | undefined;
  running: boolean;
  editable: boolean;
}

interface CardData extends Record<string, unknown> {
  side: 'inputs' | 'outputs';
  ports: readonly Data[];
  findings: readonly Located[];
}

type SlotNode = FlowNode<SlotData, 'slot'>;
type CardNode = FlowNode<CardData, 'card'>;
type AnyNode = SlotNode | CardNode;

const Open = createContext<((slot: string) => void) | undefined>(undefined);
const nodeTypes = { slot: SlotView, card: CardView };
const noFindings: readonly Located[] = [];

/** A component from inside: its nodes, and what leads from one to the other. */
export function Canvas(props: Props) {
  return (
    <ReactFlowProvider>
      <Open value={props.onOpen}>
        <Flow {...props} />
      </Open>
    </ReactFlowProvider>
  );
}

function Flow({ label, component, resolve, findings = noFindings, trail, phases, picked, onPick, editing }: Props) {
  const flow = useReactFlow();
  const at = trail ?? empty;
  const model = useMemo(() => nodesOf(component, resolve, findings, at, phases, editing !== undefined), [component, resolve, findings, at, phases, editing]);
  const edges = useMemo(() => edgesOf(component, resolve, directly(findings, at), phases, picked), [component, resolve, findings, at, phases, picked]);
  const [shown, setShown] = useState<{ model: AnyNode[]; nodes: AnyNode[] }>({ model, nodes: model });
  let nodes = shown.nodes;
  if (shown.model !== model) {
    // What the canvas has measured stays; everything else comes from the document.
    const measured = new Map(shown.nodes.map((n) => [n.id, n.measured]));
    nodes = model.map((n) => {
      const size = measured.get(n.id);
      return size === undefined ? n : { ...n, measured: size };
    });
    setShown({ model, nodes });
  }
  const drawn = useMemo(() => nodes.map((n) => ({ ...n, selected: picked.slots.includes(n.id) })), [nodes, picked]);

  // Components come one by one: once all are there everything is brought into view, and never again by itself.
  const missing = model.some((n) => n.type === 'slot' && n.data.slot.ref !== undefined && n.data.inner === undefined);
  const fitted = useRef(false);
  useEffect(() => {
    if (fitted.current) return undefined;
    const frame = requestAnimationFrame(() => {
      fitted.current = !missing;
      void flow.fitView(view);
    });
    return () => cancelAnimationFrame(frame);
  }, [missing, flow]);

  const change = (changes: NodeChange<AnyNode>[]) => {
    const kept = changes.filter((c) => c.type === 'position' || c.type === 'dimensions');
    if (kept.length > 0) setShown((s) => ({ ...s, nodes: applyNodeChanges(kept, s.nodes) }));
    const selects = changes.filter((c) => c.type === 'select');
    if (selects.length > 0) onPick({ slots: toggled(picked.slots, selects), links: picked.links });
    // Arrow keys move without a drag.
    const moved = changes.filter((c) => c.type === 'position' && c.dragging !== true && c.position !== undefined);
    if (editing !== undefined && moved.length > 0) {
      editing.onMove(Object.fromEntries(moved.flatMap((c) => (c.type === 'position' && c.position !== undefined ? [[c.id, c.position]] : []))));
    }
  };
  const changeEdges = (changes: EdgeChange[]) => {
    const selects = changes.filter((c) => c.type === 'select');
    if (selects.length > 0) onPick({ slots: picked.slots, links: toggled(picked.links, selects) });
  };

  return (
    // eslint-disable-next-line jsx-a11y/no-noninteractive-element-interactions -- what is dropped can be added by keyboard beside it
    <div
      className={classes.canvas}
      role="group"
      aria-label={label}
      data-testid="canvas"
      onDragOver={(event) => {
        if (editing === undefined) return;
        event.preventDefault();
        event.dataTransfer.dropEffect = 'copy';
      }}
      onDrop={(event) => {
        if (editing === undefined) return;
        event.preventDefault();
        editing.onDropped(event, flow.screenToFlowPosition({ x: event.clientX, y: event.clientY }));
      }}
    >
      <ReactFlow<AnyNode>
        nodes={drawn}
        edges={edges}
        nodeTypes={nodeTypes}
        onNodesChange={change}
        onEdgesChange={changeEdges}
        onPaneClick={() => onPick(nothingPicked)}
        onConnect={(c) => editing?.onConnect(portOf(c.source, c.sourceHandle), portOf(c.target, c.targetHandle))}
        isValidConnection={(c) => editing?.refusal(...endsOf(c)) === undefined}
        onDelete={({ nodes: gone, edges: cut }) => editing?.onRemove({ slots: gone.map((n) => n.id), links: cut.map((e) => e.id) })}
        deleteKeyCode={editing === undefined ? null : ['Delete', 'Backspace']}
        nodesDraggable={editing !== undefined}
        nodesConnectable={editing !== undefined}
        elementsSelectable
        nodesFocusable
        edgesFocusable={editing !== undefined}
        connectionLineType={ConnectionLineType.Bezier}
        connectionRadius={28}
        fitView
        fitViewOptions={view}
        minZoom={0.15}
        maxZoom={1.75}
        proOptions={{ hideAttribution: true }}
        ariaLabelConfig={ariaWords}
      >
        <Background gap={18} size={1} />
        <Panel position="bottom-right" className={classes.tools ?? ''}>
          <Tool label="Zoom in" onClick={() => void flow.zoomIn()}>
            <Plus size={16} />
          </Tool>
          <Tool label="Zoom out" onClick={() => void flow.zoomOut()}>
            <Minus size={16} />
          </Tool>
          <Tool label="Show everything" onClick={() => void flow.fitView(view)}>
            <Maximize size={16} />
          </Tool>
        </Panel>
      </ReactFlow>
    </div>
  );
}

const empty: readonly string[] = [];
const view = { padding: 0.08, maxZoom: 1 };

const ariaWords = {
  'node.a11yDescription.default': 'Press Enter to choose the node, and Delete to remove it.',
  'node.a11yDescription.keyboardDisabled': 'Press Enter to choose the node, arrow keys to move it, and Delete to remove it.',
  'edge.a11yDescription.default': 'Press Enter to choose the connection, and Delete to remove it.',
};

function Tool({ label, onClick, children }: { label: string; onClick: () => void; children: React.ReactNode }) {
  return (
    <Tooltip label={label} position="left">
      <ActionIcon variant="default" aria-label={label} onClick={onClick}>
        {children}
      </ActionIcon>
    </Tooltip>
  );
}

function toggled(before: readonly string[], changes: readonly { id: string; selected: boolean }[]): string[] {
  const next = new Set(before);
  for (const c of changes) {
    if (c.selected) next.add(c.id);
    else next.delete(c.id);
  }
  return [...next];
}

function portOf(node: string, handle: string | null | undefined): Port {
  const port = handle ?? '';
  return node === INPUTS || node === OUTPUTS ? { port } : { node, port };
}

function endsOf(c: Connection | FlowEdge): [Port, Port] {
  return [portOf(c.source, c.sourceHandle), portOf(c.target, c.targetHandle)];
}

function nodesOf(
  component: Component,
  resolve: Resolve,
  findings: readonly Located[],
  trail: readonly string[],
  phases: Props['phases'],
  editable: boolean,
): AnyNode[] {
  const places = placesOf(component, resolve);
  const own = directly(findings, trail);
  const slots = slotsOf(component).map((slot): AnyNode => {
    const inner = resolve(slot.ref);
    const here = about(findings, trail, slot.id);
    const phase = phases?.[slot.id];
    return {
      id: slot.id,
      type: 'slot',
      position: places[slot.id] ?? { x: 0, y: 0 },
      initialWidth: NODE_WIDTH,
      initialHeight: 100,
      draggable: editable && component.implementation.type === 'graph',
      deletable: editable && slot.ref !== undefined,
      ariaLabel: nodeWords(slot, inner, here, phases === undefined ? undefined : phase),
      data: { slot, inner, findings: here, phase, running: phases !== undefined, editable },
    };
  });
  const card = (side: 'inputs' | 'outputs'): AnyNode => ({
    id: side === 'inputs' ? INPUTS : OUTPUTS,
    type: 'card',
    position: places[side === 'inputs' ? INPUTS : OUTPUTS] ?? { x: 0, y: 0 },
    initialWidth: CARD_WIDTH,
    initialHeight: 60,
    draggable: false,
    deletable: false,
    ariaLabel: `The ${side} of ${component.name ?? 'the component'}`,
    data: { side, ports: component[side] ?? [], findings: own.filter((f) => f.on.kind === (side === 'inputs' ? 'input' : 'output')) },
  });
  return [card('inputs'), ...slots, card('outputs')];
}

function nodeWords(slot: Slot, inner: Component | undefined, findings: readonly Located[], phase: string | undefined): string {
  const what = inner === undefined ? 'empty' : `${inner.name ?? 'unnamed'}, a ${kindWord(inner.implementation.type)}`;
  return [`Node ${slot.label}: ${what}`, phase === undefined ? '' : phaseLook(phase).word, ...findings.map((f) => f.message)].filter((t) => t !== '').join('. ');
}

function edgesOf(component: Component, resolve: Resolve, findings: readonly Located[], phases: Props['phases'], picked: Picked): FlowEdge[] {
  return linksOf(component).map((l): FlowEdge => {
    const wrong = findings.filter((f) => f.on.kind === l.kind && f.on.index === l.index);
    const type = sourceType(component, l.source, resolve);
    const tone = worst(wrong);
    const flows = phases !== undefined && l.target.node !== undefined && phases[l.target.node] === 'Running';
    const [from, to] = [`${l.source.node ?? 'input'} ${l.source.port}`, `${l.target.node ?? 'output'} ${l.target.port}`];
    return {
      id: l.key,
      source: l.source.node ?? INPUTS,
      sourceHandle: l.source.port,
      target: l.target.node ?? OUTPUTS,
      targetHandle: l.target.port,
      selected: picked.links.includes(l.key),
      animated: flows,
      className: [classes.edge, tone === undefined ? undefined : classes[`edge-${tone}`]].filter((c) => c !== undefined).join(' '),
      ariaLabel: `A ${typeWord(type)} from ${from} to ${to}${wrong.map((f) => `. ${f.message}`).join('')}`,
      data: { type },
    };
  });
}

/** The canvas measures where ports are; it is told when they are others. */
function usePorts(id: string, ports: readonly Data[]): void {
  const measure = useUpdateNodeInternals();
  const names = ports.map((d) => `${d.name} ${d.type}`).join();
  useEffect(() => measure(id), [measure, id, names]);
}

function SlotView({ id, data, selected }: NodeProps<SlotNode>) {
  const open = useContext(Open);
  usePorts(id, [...(data.inner?.inputs ?? []), ...(data.inner?.outputs ?? [])]);
  const { slot, inner, findings, phase, running, editable } = data;
  const kind = inner?.implementation.type;
  const tone = worst(findings);
  // A brick has nothing to see inside but its form.
  const inside = kind === 'graph' || kind === 'map' || kind === 'conditional' || (kind === 'brick' && editable && isInline(slot.ref));
  return (
    <div className={classes.node} data-selected={selected} data-tone={tone} data-phase={running ? (phase ?? 'none') : undefined} data-testid={`node-${slot.id}`}>
      <div className={classes.head}>
        <KindIcon kind={kind} />
        <div className={classes.names}>
          <div className={classes.name}>{slot.label}</div>
          <div className={classes.what}>{slot.ref === undefined ? 'drop a component here' : inner === undefined ? 'not in the library' : (inner.name ?? kindWord(kind))}</div>
        </div>
        {running && <PhaseMark phase={phase} />}
        {tone !== undefined && <FindingMark tone={tone} count={findings.length} title={findings.map((f) => f.message).join('\n')} />}
      </div>
      <div className={classes.ports}>
        <ul className={classes.in}>
          {(inner?.inputs ?? []).map((d) => (
            <PortRow key={d.name} data={d} side="target" />
          ))}
        </ul>
        <ul className={classes.out}>
          {(inner?.outputs ?? []).map((d) => (
            <PortRow key={d.name} data={d} side="source" />
          ))}
        </ul>
      </div>
      {inside && open !== undefined && (
        <button
          type="button"
          className={`${classes.inside ?? ''} nodrag`}
          onClick={(event) => {
            // The node itself is not chosen by that.
            event.stopPropagation();
            open(slot.id);
          }}
          aria-label={`Look inside ${slot.label}`}
        >
          look inside{isInline(slot.ref) ? '' : ' · from the library'}
        </button>
      )}
    </div>
  );
}

function FindingMark({ tone, count, title }: { tone: string; count: number; title: string }) {
  const Icon = tone === 'error' ? CircleX : tone === 'unready' ? CircleAlert : TriangleAlert;
  return (
    <Tooltip label={title} multiline maw={320} style={{ whiteSpace: 'pre-line' }}>
      <span className={classes.finding} data-tone={tone} data-testid="finding-mark">
        <Icon size={14} aria-hidden />
        {count > 1 ? count : ''}
        <span className="visually-hidden">{count === 1 ? 'finding' : 'findings'}</span>
      </span>
    </Tooltip>
  );
}

function PortRow({ data, side }: { data: Data; side: 'source' | 'target' }) {
  return (
    <li className={classes.port} title={`${data.name}: ${typeWord(data.type)}`}>
      <Handle
        type={side}
        id={data.name}
        position={side === 'source' ? Position.Right : Position.Left}
        className={`${classes.handle ?? ''} ${classes[data.type] ?? ''}`}
        data-testid={`${side}-${data.name}`}
      />
      <TypeMark type={data.type} />
      <span className={classes.portName}>{data.name}</span>
    </li>
  );
}

function CardView({ id, data, selected }: NodeProps<CardNode>) {
  usePorts(id, data.ports);
  const side = data.side === 'inputs' ? 'source' : 'target';
  const tone = worst(data.findings);
  return (
    <div className={classes.card} data-selected={selected} data-side={data.side} data-tone={tone} data-testid={data.side}>
      <div className={classes.cardHead}>
        {data.side === 'inputs' ? 'Inputs' : 'Outputs'}
        {tone !== undefined && <FindingMark tone={tone} count={data.findings.length} title={data.findings.map((f) => f.message).join('\n')} />}
      </div>
      <ul className={side === 'source' ? classes.out : classes.in}>
        {data.ports.map((d) => (
          <PortRow key={d.name} data={d} side={side} />
        ))}
        {data.ports.length === 0 && <li className={classes.none}>none</li>}
      </ul>
    </div>
  );
}
