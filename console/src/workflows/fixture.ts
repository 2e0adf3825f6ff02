import type { Component, Data, GraphNode, PortType, Ref } from './document';
import type { Resolve } from './graph';

/** Small components for tests. */
export function data(name: string, type: PortType = 'parameter'): Data {
  return { name, type };
}

export function brick(uid: string, inputs: Data[] = [], outputs: Data[] = []): Component {
  return { uid, type: 'component', name: uid, inputs, outputs, implementation: { type: 'brick', container: { name: 'main', image: 'busybox', command: ['true'] } } };
}

export function node(id: string, ref: Ref): GraphNode {
  return { id, node: ref };
}

/** Two nodes that make and use a text and a file, fed from a seed and giving a result. */
export function pair(): Component {
  const make = brick('make', [data('seed')], [data('text'), data('file', 'artifact')]);
  const use = brick('use', [data('text'), data('file', 'artifact')], [data('answer')]);
  return {
    uid: 'pair',
    type: 'component',
    name: 'pair',
    inputs: [data('seed')],
    outputs: [data('answer')],
    implementation: {
      type: 'graph',
      nodes: [node('a', make), node('b', use)],
      edges: [{ source: { node: 'a', port: 'text' }, target: { node: 'b', port: 'text' } }],
      inputMappings: [{ source: { port: 'seed' }, target: { node: 'a', port: 'seed' } }],
      outputMappings: [{ source: { node: 'b', port: 'answer' }, target: { port: 'answer' } }],
    },
  };
}

/** Finds what is inline, and what is given by its uid. */
export function resolveWith(...library: Component[]): Resolve {
  return (ref) => {
    if (typeof ref === 'object' && 'implementation' in ref) return ref;
    const uid = typeof ref === 'string' ? ref : ref?.uid;
    return library.find((c) => c.uid === uid);
  };
}
