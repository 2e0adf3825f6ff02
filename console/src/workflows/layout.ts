import { Graph, layout } from '@dagrejs/dagre';
import type { Component, Point } from './document';
import { linksOf, type Resolve, slotsOf } from './graph';

export const NODE_WIDTH = 216;
export const CARD_WIDTH = 156;
const HEAD = 50;
const ROW = 24;

/** The names that the component's own inputs and outputs have on the canvas. No node's id has a colon. */
export const INPUTS = ':inputs';
export const OUTPUTS = ':outputs';

export function nodeHeight(inner: Component | undefined): number {
  return HEAD + ROW * Math.max(1, inner?.inputs?.length ?? 0, inner?.outputs?.length ?? 0);
}

export function cardHeight(ports: number): number {
  return 40 + ROW * Math.max(1, ports);
}

/** Finds places for every node, from left to right in the order in which they run. */
export function arrange(component: Component, resolve: Resolve): Record<string, Point> {
  const graph = new Graph({ multigraph: true });
  graph.setGraph({ rankdir: 'LR', nodesep: 36, ranksep: 60, marginx: 0, marginy: 0 });
  graph.setDefaultEdgeLabel(() => ({}));
  const slots = slotsOf(component);
  for (const s of slots) graph.setNode(s.id, { width: NODE_WIDTH, height: nodeHeight(resolve(s.ref)) });
  const known = new Set(slots.map((s) => s.id));
  const [ins, outs] = [component.inputs?.length ?? 0, component.outputs?.length ?? 0];
  if (ins > 0) graph.setNode(INPUTS, { width: CARD_WIDTH, height: cardHeight(ins) });
  if (outs > 0) graph.setNode(OUTPUTS, { width: CARD_WIDTH, height: cardHeight(outs) });
  for (const l of linksOf(component)) {
    const [from, to] = [l.source.node ?? INPUTS, l.target.node ?? OUTPUTS];
    const there = (id: string) => known.has(id) || graph.hasNode(id);
    if (there(from) && there(to) && from !== to) graph.setEdge(from, to, {}, l.key);
  }
  layout(graph);
  const places: Record<string, Point> = {};
  for (const id of graph.nodes()) {
    const at = graph.node(id) as { x: number; y: number; width: number; height: number };
    places[id] = { x: Math.round(at.x - at.width / 2), y: Math.round(at.y - at.height / 2) };
  }
  return places;
}

/**
 * Where everything stands: nodes where somebody put them, or where there is room; the inputs left of all
 * nodes and the outputs right of them, so that the order of reading is always the order of running.
 */
export function placesOf(component: Component, resolve: Resolve): Record<string, Point> {
  const slots = slotsOf(component);
  const free = arrange(component, resolve);
  const nobody = slots.every((s) => s.at === undefined);
  const places: Record<string, Point> = {};
  for (const s of slots) places[s.id] = s.at ?? free[s.id] ?? { x: 0, y: 0 };
  if (nobody) {
    places[INPUTS] = free[INPUTS] ?? { x: -CARD_WIDTH - 84, y: 0 };
    places[OUTPUTS] = free[OUTPUTS] ?? { x: Math.max(0, ...slots.map((s) => (places[s.id]?.x ?? 0) + NODE_WIDTH)) + 84, y: 0 };
    return places;
  }
  const boxes = slots.map((s) => ({ ...(places[s.id] ?? { x: 0, y: 0 }), height: nodeHeight(resolve(s.ref)) }));
  const [left, right] = [Math.min(...boxes.map((b) => b.x)), Math.max(...boxes.map((b) => b.x + NODE_WIDTH))];
  const middle = (Math.min(...boxes.map((b) => b.y)) + Math.max(...boxes.map((b) => b.y + b.height))) / 2;
  places[INPUTS] = { x: left - 84 - CARD_WIDTH, y: middle - cardHeight(component.inputs?.length ?? 0) / 2 };
  places[OUTPUTS] = { x: right + 84, y: middle - cardHeight(component.outputs?.length ?? 0) / 2 };
  return places;
}
