import { describe, expect, it } from 'vitest';
import { canonical, differences } from './difference';
import type { Component, Workflow } from './document';
import { brick, data, node, pair } from './fixture';
import { connect, movePositions, place, removeSlots } from './graph';

const words = (a: Component, b: Component) => differences(a, b).map((d) => `${d.what} ${d.subject}: ${d.before} → ${d.after}`);

describe('differences', () => {
  it('are none between a thing and itself, wherever its nodes stand', () => {
    expect(differences(pair(), movePositions(pair(), { a: { x: 5, y: 5 } }))).toEqual([]);
    expect(differences({ ...pair(), timestamp: '1', version: { current: 1 } }, { ...pair(), timestamp: '2', version: { current: 2 } })).toEqual([]);
  });
  it('name nodes and connections that came and went', () => {
    const added = place(pair(), { uid: '12345678-0000', version: 3 }, 'plot', { x: 0, y: 0 })?.component ?? pair();
    expect(words(pair(), added)).toEqual(['added node plot:  → component 12345678, version 3']);
    expect(words(added, removeSlots(added, ['plot']))).toEqual(['removed node plot: component 12345678, version 3 → ']);
    expect(words(pair(), connect(pair(), { port: 'seed' }, { node: 'b', port: 'text' }))).toEqual(['removed connection: a.text → b.text → ', 'added input connection:  → seed → b.text']);
  });
  it('go into components that are kept inside', () => {
    const outer = (c: Component): Component => ({ type: 'component', implementation: { type: 'graph', nodes: [node('n', c)] } });
    const a = brick('x', [data('p')]);
    const b: Component = { ...a, inputs: [data('p', 'parameter_array')], implementation: { type: 'brick', container: { name: 'main', image: 'python', command: ['true'] } } };
    expect(differences(outer(a), outer(b)).map((d) => d.subject)).toEqual(['input of node n p', 'the container’s image of node n']);
  });
  it('name other kinds, texts and workflows’ own words', () => {
    const w = (c: Component): Workflow => ({ type: 'workflow', workspace: 'ws', name: 'w', component: c });
    expect(differences(w(pair()), { ...w(brick('pair', [data('seed')], [data('answer')])), name: 'v' }).map((d) => d.subject)).toEqual(['the name', 'the kind']);
  });
  it('write JSON in one order', () => expect(canonical({ b: 1, a: { d: 2, c: 3 } })).toBe('{"a":{"c":3,"d":2},"b":1}'));
});
