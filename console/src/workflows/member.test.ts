import { describe, expect, it } from 'vitest';
import { emailProblem, groupsOf, peopleOf, withGroup, withoutGroup, withoutPerson, withPerson } from './member';
import { volumeKind, volumeOf, volumeProblem } from './volume';

const roles = [['ada@x--$owner', 'lab'], ['bob@x--$collaborator'], ['lab', 'mri']];

describe('the members of a workspace', () => {
  it('are people and groups', () => {
    expect(peopleOf(roles)).toEqual([{ email: 'ada@x', as: 'owner' }, { email: 'bob@x', as: 'collaborator' }]);
    expect(groupsOf(roles)).toEqual([['lab'], ['lab', 'mri']]);
    expect(peopleOf([['a@x--$collaborator'], ['a@x--$owner']])).toEqual([{ email: 'a@x', as: 'owner' }]);
  });
  it('come and go, and leave the others as they are', () => {
    expect(withPerson(roles, 'eve@x', 'collaborator').at(-1)).toEqual(['eve@x--$collaborator']);
    expect(peopleOf(withPerson(roles, 'bob@x', 'owner'))).toEqual([{ email: 'ada@x', as: 'owner' }, { email: 'bob@x', as: 'owner' }]);
    expect(withoutPerson(roles, 'ada@x')).toEqual([['lab'], ['bob@x--$collaborator'], ['lab', 'mri']]);
    expect(groupsOf(withGroup(roles, 'mri, night mri'))).toContainEqual(['mri', 'night']);
    expect(withGroup(roles, ' ')).toEqual(roles);
    expect(withoutGroup(roles, ['lab'])).toEqual([['ada@x--$owner'], ['bob@x--$collaborator'], ['lab', 'mri']]);
  });
  it('have addresses', () => {
    expect(emailProblem('ada@example.org')).toBeUndefined();
    expect(emailProblem('ada')).toBeDefined();
  });
});

describe('volumes', () => {
  it('are written as Kubernetes has them, and read in words', () => {
    expect(volumeKind(volumeOf('v', 'persistentVolumeClaim', ' team '))).toBe('storage team');
    expect(volumeOf('v', 'nfs', 'files:/a:b')).toEqual({ name: 'v', nfs: { server: 'files', path: '/a:b' } });
    expect(volumeKind(volumeOf('v', 'nfs', 'files:/a'))).toBe('NFS share files:/a');
    expect(volumeKind(volumeOf('v', 'emptyDir', ''))).toBe('empty, for one run');
    expect(volumeOf('v', 'other', '{"csi":{"driver":"d"},"name":"x"}')).toEqual({ name: 'v', csi: { driver: 'd' } });
    expect(volumeKind({ name: 'v', csi: {} })).toBe('csi');
  });
  it.each([
    ['A', 'emptyDir', '', /small letters/], ['v', 'emptyDir', '', /of this name/], ['w', 'nfs', 'files', /server:/], ['w', 'other', '[]', /one object/], ['w', 'persistentVolumeClaim', '', /claim/], ['w', 'emptyDir', '', undefined],
  ] as const)('%s %s %s is judged', (name, source, where, why) => {
    const problem = volumeProblem(name, source, where, ['v']);
    if (why === undefined) expect(problem).toBeUndefined();
    else expect(problem).toMatch(why);
  });
});
