import { describe, expect, it } from 'vitest';
import type { Component } from './document';
import { pair, resolveWith } from './fixture';
import { movePositions } from './graph';
import { arrange, INPUTS, nodeHeight, NODE_WIDTH, OUTPUTS, placesOf } from './layout';

const resolve = resolveWith();

describe('layout', () => {
  it('goes from the inputs over the nodes to the outputs, from left to right', () => {
    const at = arrange(pair(), resolve);
    const xs = [INPUTS, 'a', 'b', OUTPUTS].map((id) => at[id]?.x ?? NaN);
    expect(xs).toEqual([...xs].sort((a, b) => a - b));
    expect(new Set(xs).size).toBe(4);
  });
  it('lets no two nodes overlap', () => {
    const nodes = Array.from({ length: 30 }, (_, i) => ({ id: `n${i}`, node: `lib${i}` }));
    const edges = nodes.slice(1).map((n, i) => ({ source: { node: `n${Math.floor(i / 3)}`, port: 'o' }, target: { node: n.id, port: 'i' } }));
    const c: Component = { type: 'component', implementation: { type: 'graph', nodes, edges } };
    const boxes = Object.values(arrange(c, resolve));
    const height = nodeHeight(undefined);
    for (const [i, a] of boxes.entries()) {
      for (const b of boxes.slice(i + 1)) expect(Math.abs(a.x - b.x) >= NODE_WIDTH || Math.abs(a.y - b.y) >= height).toBe(true);
    }
  });
  it('leaves nodes where somebody put them, the inputs left and the outputs right of all', () => {
    const at = placesOf(movePositions(pair(), { a: { x: 500, y: 40 }, b: { x: -300, y: 900 } }), resolve);
    expect(at.a).toEqual({ x: 500, y: 40 });
    expect(at[INPUTS]?.x).toBeLessThan(-300);
    expect(at[OUTPUTS]?.x).toBeGreaterThan(500 + NODE_WIDTH);
  });
  it('survives edges to nowhere and graphs with nothing in them', () => {
    const c: Component = { type: 'component', implementation: { type: 'graph', edges: [{ source: { node: 'x', port: 'o' }, target: { node: 'y', port: 'i' } }] } };
    expect(arrange(c, resolve)).toEqual({});
    expect(Object.keys(placesOf(c, resolve))).toEqual([INPUTS, OUTPUTS]);
  });
});
