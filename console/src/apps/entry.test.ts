import { describe, expect, it } from 'vitest';
import { at, change, essential, faultsAt, idProblem, lineOf, lineRange, linesOf, pathOf, read, translate, variablesOf, write } from './entry';

const yaml = `# The lab's notebooks
id: notes
name: Notes # as on the card
allow:
  roles: [scientist]
volumes:
  - name: home
    path: /home/user
resources:
  memory: 2Gi
`;

describe('an entry as text', () => {
  it('is read from YAML and from JSON alike', () => {
    expect(read(yaml).entry).toMatchObject({ id: 'notes', allow: { roles: ['scientist'] } });
    expect(read(translate(yaml, 'json')).entry).toEqual(read(yaml).entry);
    expect(translate(translate(yaml, 'json'), 'yaml')).toContain('roles: [ scientist ]');
    expect(read('').entry).toEqual({});
  });
  it('says where it cannot be read', () => {
    expect(read('id: a\nname: [b\n').fault?.line).toBeGreaterThan(1);
    expect(read('- a\n').fault?.message).toContain('keys and values');
    expect(read('id: a\nid: b\n').fault?.message).toContain('unique');
    expect(read('a: &x [1]\nb: *y\n').fault).toBeDefined();
    expect(translate('id: [', 'json')).toBe('id: [');
  });
  it('keeps its comments when a field changes', () => {
    const text = change(yaml, 'yaml', ['name'], 'Notebooks');
    expect(text).toContain("# The lab's notebooks");
    expect(text).toContain('name: Notebooks # as on the card');
    expect(change(text, 'yaml', ['resources', 'cpu'], 2)).toContain('  memory: 2Gi\n  cpu: 2\n');
  });
  it('loses a key that is emptied, and what holds nothing without it', () => {
    expect(change(yaml, 'yaml', ['resources', 'memory'], '')).not.toContain('resources');
    expect(change(yaml, 'yaml', ['allow', 'roles'], [])).not.toContain('allow');
    expect(change('', 'yaml', ['id'], 'a')).toBe('id: a\n');
    expect(change('id: a\n', 'yaml', ['id'], '')).toBe('');
    expect(change('', 'yaml', ['gone', 'deep'], undefined)).toBe('');
  });
  it('changes JSON as JSON', () => {
    expect(change('{"id": "a"}', 'json', ['allow', 'roles'], ['b'])).toBe('{\n  "id": "a",\n  "allow": {\n    "roles": [\n      "b"\n    ]\n  }\n}\n');
    expect(change('{"id": ', 'json', ['id'], 'x')).toBe('{"id": ');
  });
  it('writes long lists and objects line by line', () => {
    expect(write({ command: ['a', 'b'], volumes: [{ name: 'v' }] }, 'yaml')).toBe('command: [ a, b ]\nvolumes:\n  - name: v\n');
  });
  it('leaves what is half written alone when a field changes', () => {
    expect(change('id: [', 'yaml', ['name'], 'x')).toBe('id: [');
  });
});

describe('faults', () => {
  it.each([
    ['name', 3],
    ['volumes[0].path', 8],
    ['volumes[0].size', 7],
    ['allow.roles', 5],
    ['resources.cpu', 9],
    ['port', undefined],
  ])('at %s stand on line %s', (key, line) => expect(lineOf(yaml, key)).toBe(line));
  it('stand in JSON too', () => {
    expect(lineOf(translate(yaml, 'json'), 'volumes[0].path')).toBe(12);
  });
  it('are found by the field that shows them', () => {
    const faults = [
      { key: 'env.LODGE_X', message: 'is Lodge’s own' },
      { key: 'volumes[0].path', message: 'no clean path' },
      { key: 'volumes[0].name', message: 'no name' },
    ];
    expect(faultsAt(faults, 'env')).toBeUndefined();
    expect(faultsAt(faults, 'env', true)).toBe('is Lodge’s own');
    expect(faultsAt(faults, 'volumes', true)).toBe('no clean path; no name');
  });
  it('lead to a line of the text', () => {
    expect(lineRange('a\nbcd\ne', 2)).toEqual([2, 5]);
    expect(lineRange('a', 9)).toEqual([2, 2]);
  });
});

describe('paths', () => {
  it('lead to values', () => {
    expect(pathOf('volumes[0].path')).toEqual(['volumes', 0, 'path']);
    expect(at({ volumes: [{ path: '/x' }] }, pathOf('volumes[0].path'))).toBe('/x');
    expect(at({ a: 1 }, ['a', 'b'])).toBeUndefined();
  });
});

describe('variables', () => {
  it('are lines with a name and a value', () => {
    expect(variablesOf(['A=1', ' B = x=y', '', 'C'])).toEqual({ A: '1', B: ' x=y', C: '' });
    expect(linesOf({ A: '1', N: 2 })).toEqual(['A=1', 'N=2']);
    expect(linesOf(undefined)).toEqual([]);
  });
});

describe('ids', () => {
  it.each([
    ['notes', true],
    ['notes-2', true],
    ['', false],
    ['Notes', false],
    ['a--b', false],
    ['taken', false],
    ['a-very-long-id-of-an-app', false],
  ])('%j: %s', (id, fine) => expect(idProblem(id, ['taken']) === undefined).toBe(fine));
});

describe('an entry of the server', () => {
  it('is shown without what it would have anyway', () => {
    const entry = { id: 'a', group: 'apps', port: 8888, extend: { step: '1h', max: '8h' }, security: { run_as: '10001', egress: 'none' }, warn_before: '5m', ready: { path: '/', status: ['200-399', 401, 403], timeout: '1m' }, env: {} };
    expect(essential(entry)).toEqual({ id: 'a', port: 8888, extend: { max: '8h' }, security: { egress: 'none' } });
  });
});
