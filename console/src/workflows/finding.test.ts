import { describe, expect, it } from 'vitest';
import type { Component, Workflow } from './document';
import { about, bySeverity, directly, type Finding, locate, worst } from './finding';
import { node, pair } from './fixture';

const finding = (pointer: string, severity: Finding['severity'] = 'error'): Finding => ({ pointer, code: 'port', severity, message: pointer });
const root: Component = { type: 'component', implementation: { type: 'graph', nodes: [node('sub', pair()), node('lib', 'uid')] } };
const workflow: Workflow = { type: 'workflow', workspace: 'ws', component: root };

describe('findings', () => {
  it.each([
    ['/implementation/nodes/1/node', ['lib'], { kind: 'self', index: -1 }],
    ['/implementation/nodes/0', ['sub'], { kind: 'self', index: -1 }],
    ['/implementation/nodes/0/id', ['sub'], { kind: 'self', index: -1 }],
    ['/implementation/nodes/0/node/implementation/edges/0/source', ['sub'], { kind: 'edge', index: 0 }],
    ['/implementation/nodes/0/node/implementation/nodes/1/node/implementation/container/image', ['sub', 'b'], { kind: 'self', index: -1 }],
    ['/implementation/nodes/0/node/outputs/0', ['sub'], { kind: 'output', index: 0 }],
    ['/implementation/inputMappings/3', [], { kind: 'in', index: 3 }],
    ['/implementation/nodes/9', [], { kind: 'self', index: -1 }],
    ['', [], { kind: 'self', index: -1 }],
  ])('%s is found', (pointer, trail, on) => {
    expect(locate(root, finding(pointer))).toMatchObject({ trail, on });
    expect(locate(workflow, finding(`/component${pointer}`))).toMatchObject({ trail, on });
  });
  it('of maps and conditionals are found in their slots', () => {
    const map: Component = { type: 'component', implementation: { type: 'map', node: pair() } };
    expect(locate(map, finding('/implementation/node/implementation/nodes/0')).trail).toEqual(['node', 'a']);
    const conditional: Component = { type: 'component', implementation: { type: 'conditional', nodeTrue: 'x', nodeFalse: pair() } };
    expect(locate(conditional, finding('/implementation/nodeFalse/inputs/0')).trail).toEqual(['nodeFalse']);
  });
  it('of a node are its own and those inside it', () => {
    const all = [locate(root, finding('/implementation/nodes/0')), locate(root, finding('/implementation/nodes/0/node/implementation/nodes/1')), locate(root, finding('/inputs/0'))];
    expect(about(all, [], 'sub')).toHaveLength(2);
    expect(about(all, ['sub'], 'b')).toHaveLength(1);
    expect(directly(all, [])).toHaveLength(1);
  });
  it('are shown worst first', () => {
    expect(bySeverity([finding('w', 'warning'), finding('e'), finding('u', 'unready')]).map((f) => f.pointer)).toEqual(['e', 'u', 'w']);
    expect(worst([finding('w', 'warning'), finding('u', 'unready')])).toBe('unready');
    expect(worst([])).toBeUndefined();
  });
});
