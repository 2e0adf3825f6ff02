import { describe, expect, it } from 'vitest';
import type { Component } from './document';
import { brick, data, node, pair, resolveWith } from './fixture';
import {
  addPort,
  adoptPorts,
  changePort,
  componentAt,
  connect,
  disconnect,
  feedOf,
  fits,
  freshId,
  linksOf,
  movePositions,
  place,
  referencesIn,
  refusal,
  removePort,
  removeSlots,
  renameNode,
  slotsOf,
  sourcesFor,
  updateAt,
} from './graph';

const resolve = resolveWith();
const graph = (c: Component) => (c.implementation.type === 'graph' ? c.implementation : undefined);
const map = (): Component => ({ type: 'component', implementation: { type: 'map' } });

describe('connecting', () => {
  it('puts a link into the list that it belongs to', () => {
    const c = connect(pair(), { node: 'a', port: 'file' }, { node: 'b', port: 'file' });
    expect(graph(c)?.edges).toHaveLength(2);
    expect(graph(connect(c, { port: 'seed' }, { node: 'b', port: 'text' }))?.inputMappings).toHaveLength(2);
  });
  it('lets a port be fed once, whatever fed it before', () => {
    const c = connect(pair(), { port: 'seed' }, { node: 'b', port: 'text' });
    expect(graph(c)?.edges).toEqual([]);
    expect(feedOf(c, { node: 'b', port: 'text' })?.kind).toBe('in');
  });
  it('writes mappings of maps without nodes', () => {
    const c = connect({ ...map(), implementation: { type: 'map', node: brick('x', [data('i')]) } }, { port: 'list' }, { node: 'node', port: 'i' });
    expect(c.implementation).toMatchObject({ inputMappings: [{ source: { port: 'list' }, target: { port: 'i' } }] });
    expect(linksOf(c)).toMatchObject([{ key: 'in:0:node', target: { node: 'node', port: 'i' } }]);
  });
  it.each([
    ['a text into a file', { node: 'a', port: 'text' }, { node: 'b', port: 'file' }, /does not fit/],
    ['a node into itself', { node: 'a', port: 'text' }, { node: 'a', port: 'seed' }, /cannot feed itself/],
    ['a circle', { node: 'b', port: 'answer' }, { node: 'a', port: 'seed' }, /wait for each other/],
    ['an input to an output', { port: 'seed' }, { port: 'answer' }, /a node has to stand between/],
  ])('refuses %s', (_, source, target, why) => expect(refusal(pair(), source, target, resolve)).toMatch(why));
  it('lets lists and texts into each other, and nothing else of two types', () => {
    expect(fits('parameter_array', 'parameter')).toBe(true);
    expect(fits('parameter', 'parameter_array')).toBe(true);
    expect(fits('artifact', 'parameter')).toBe(false);
    expect(fits('env_secret', 'env_secret')).toBe(true);
  });
  it('offers every source that fits, and none that would make a circle', () => {
    expect(sourcesFor(pair(), { node: 'b', port: 'text' }, resolve)).toEqual([{ port: 'seed' }, { node: 'a', port: 'text' }]);
    expect(sourcesFor(pair(), { node: 'a', port: 'seed' }, resolve)).toEqual([{ port: 'seed' }]);
    expect(sourcesFor(pair(), { port: 'answer' }, resolve)).toEqual([{ node: 'a', port: 'text' }, { node: 'b', port: 'answer' }]);
  });
  it('takes away what is chosen, at the same time', () => {
    const c = disconnect(pair(), ['edge:0', 'in:0', 'out:0']);
    expect(linksOf(c)).toEqual([]);
  });
});

describe('nodes', () => {
  it('get ids that read like their names and that nobody has', () => {
    expect(freshId('Fit a curve!', [])).toBe('fit-a-curve');
    expect(freshId('Fit a curve!', ['fit-a-curve'])).toBe('fit-a-curve-2');
    expect(freshId('3 mice', [])).toBe('mice');
    expect(freshId('日本', [])).toBe('node');
  });
  it('are placed in a graph where they were dropped', () => {
    const result = place(pair(), 'lib', 'Plot', { x: 10.4, y: 20.6 });
    expect(result?.id).toBe('plot');
    expect(graph(result?.component ?? pair())?.nodes?.at(-1)).toEqual({ id: 'plot', node: 'lib', userdata: { graphPosition: { x: 10, y: 21 } } });
  });
  it('fill a map once and a conditional twice', () => {
    const one = place(map(), 'x', 'x', { x: 0, y: 0 });
    expect(one?.id).toBe('node');
    expect(place(one?.component ?? map(), 'y', 'y', { x: 0, y: 0 })).toBeUndefined();
    const conditional: Component = { type: 'component', implementation: { type: 'conditional' } };
    const first = place(conditional, 'x', 'x', { x: 0, y: 0 });
    expect(first?.id).toBe('nodeTrue');
    expect(place(first?.component ?? conditional, 'y', 'y', { x: 0, y: 0 })?.id).toBe('nodeFalse');
  });
  it('go with everything that was connected to them', () => {
    const c = removeSlots(pair(), ['a']);
    expect(slotsOf(c).map((s) => s.id)).toEqual(['b']);
    expect(linksOf(c).map((l) => l.kind)).toEqual(['out']);
  });
  it('take their connections along when they are renamed', () => {
    const c = renameNode(pair(), 'a', 'first');
    expect(linksOf(c).map((l) => [l.source.node, l.target.node])).toEqual([['first', 'b'], [undefined, 'first'], ['b', undefined]]);
  });
  it('keep what others wrote about them when they are moved', () => {
    const start = pair();
    const it0 = graph(start);
    const c = movePositions({ ...start, implementation: { ...it0, type: 'graph', nodes: [{ ...node('a', 'x'), userdata: { note: 'kept' } }] } }, { a: { x: 1, y: 2 }, gone: { x: 9, y: 9 } });
    expect(graph(c)?.nodes).toEqual([{ id: 'a', node: 'x', userdata: { note: 'kept', graphPosition: { x: 1, y: 2 } } }]);
  });
});

describe('ports', () => {
  it('get names of their own', () => {
    const once = addPort(pair(), 'inputs');
    expect([once.name, addPort(once.component, 'inputs').name]).toEqual(['input', 'input-2']);
  });
  it('take their mappings along when they are renamed', () => {
    const c = changePort(pair(), 'inputs', 0, data('start'));
    expect(graph(c)?.inputMappings?.[0]?.source).toEqual({ port: 'start' });
    expect(graph(c)?.edges).toEqual(graph(pair())?.edges);
  });
  it('of a brick take their arguments and results along', () => {
    const c: Component = {
      ...brick('x', [data('n')], [data('o')]),
      implementation: { type: 'brick', container: { name: 'm' }, args: [{ source: { port: 'n' } }, { source: 'n' }], results: [{ source: { file: '/o' }, target: { port: 'o' } }] },
    };
    expect(changePort(c, 'inputs', 0, data('count')).implementation).toMatchObject({ args: [{ source: { port: 'count' } }, { source: 'n' }] });
    expect(removePort(c, 'outputs', 0).implementation).toMatchObject({ results: [] });
  });
  it('of a condition are followed by it', () => {
    const c: Component = { type: 'component', inputs: [data('v')], implementation: { type: 'conditional', expression: { left: data('v'), operator: '==', right: '1' } } };
    expect(changePort(c, 'inputs', 0, data('w')).implementation).toMatchObject({ expression: { left: { name: 'w' } } });
  });
  it('of the inner component are taken over, with one list for a map to go over', () => {
    const c = adoptPorts({ type: 'component', implementation: { type: 'map', node: 'x' } }, brick('x', [data('k', 'env_secret'), data('n')], [data('o')]));
    expect(c.inputs).toEqual([data('k', 'env_secret'), data('n', 'parameter_array')]);
    expect(c.outputs).toEqual([data('o', 'parameter_array')]);
    expect(linksOf(c)).toHaveLength(3);
  });
});

describe('what is inside', () => {
  const inner = pair();
  const outer: Component = { type: 'component', implementation: { type: 'graph', nodes: [node('sub', inner), node('lib', { uid: 'far', version: 2 })] } };
  it('is found through slots, and in the library', () => {
    expect(componentAt(outer, ['sub', 'a'], resolve)).toMatchObject({ component: { uid: 'make' }, inline: true });
    expect(componentAt(outer, ['lib'], resolveWith(brick('far')))).toMatchObject({ component: { uid: 'far' }, inline: false });
    expect(componentAt(outer, ['lib'], resolve)).toBeUndefined();
    expect(componentAt(outer, ['nix'], resolve)).toBeUndefined();
  });
  it('is changed where it stands, and the library is not', () => {
    const c = updateAt(outer, ['sub', 'a'], (x) => ({ ...x, name: 'changed' }));
    expect(componentAt(c, ['sub', 'a'], resolve)?.component.name).toBe('changed');
    expect(componentAt(outer, ['sub', 'a'], resolve)?.component.name).toBe('make');
    expect(updateAt(outer, ['lib'], (x) => ({ ...x, name: 'changed' }))).toBe(outer);
  });
  it('names what it takes from the library, however deep', () => {
    const deep: Component = { type: 'component', implementation: { type: 'map', node: outer } };
    expect(referencesIn(deep)).toEqual([{ uid: 'far', version: 2 }]);
  });
});
