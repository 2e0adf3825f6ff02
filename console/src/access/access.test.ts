import { describe, expect, it } from 'vitest';
import { parseClaims } from './claims';
import { actionsFor } from './matrix';

describe('actionsFor', () => {
  const actions = [
    { action: 'audit.read', help: 'Read the audit log', part: 'platform' },
    { action: 'results.read', help: 'Read files', part: 'results' },
  ];
  const names = (group: string, q = '') => actionsFor(actions, group, q).map((a) => a.action);
  it('shows what belongs to the group', () => {
    expect(names('site')).toEqual(['audit.read']);
    expect(names('oncology')).toEqual(['results.read']);
    expect(names('*')).toEqual(['audit.read', 'results.read']);
  });
  it('searches names and help', () => {
    expect(names('*', 'LOG')).toEqual(['audit.read']);
    expect(names('*', 'nothing')).toEqual([]);
  });
});

describe('parseClaims', () => {
  it('reads a claim a line and keeps what stands after the first =', () => {
    expect(parseClaims(' client_id = a \n\nx=1=2')).toEqual({ claims: { client_id: 'a', x: '1=2' } });
  });
  it.each([['no sign', 'Line 1'], ['a=1\n=2', 'Line 2'], ['a=1\na=2', 'twice']])('refuses %j', (text, problem) =>
    expect(parseClaims(text).problem).toContain(problem),
  );
});
