import { describe, expect, it } from 'vitest';
import { problemOf } from './errors';
import { contains, listAddress, newest } from './workflows';

describe('asking for lists', () => {
  it('writes filters as the server reads them', () => {
    const url = new URL(listAddress('jobs', { terms: [newest, { field: 'name', op: '==', value: 'a,b' }], sort: '+name', limit: 25, offset: 50 }), 'http://x');
    expect(url.pathname).toBe('/workflows/api/v1/jobs/');
    expect(url.searchParams.getAll('filter')).toEqual(['version.tags[==]=latest', 'name[==]=a\\,b']);
    expect(url.search).toContain('sort=%2Bname');
    expect([url.searchParams.get('limit'), url.searchParams.get('offset')]).toEqual(['25', '50']);
  });
  it('searches for what is typed, not for an expression', () => expect(contains('name', ' a.b(c) ').value).toBe('a\\.b\\(c\\)'));
});

describe('the workflows part’s errors', () => {
  it('are those of everybody else', () => {
    expect(problemOf(400, { code: 400, summary: 'could not authenticate', detail: 'no Authorization header given' })).toMatchObject({ status: 401, kind: 'unauthenticated' });
    expect(problemOf(401, { code: 401, summary: 'Authorization Denied', detail: 'not authorized' })).toMatchObject({ status: 403, kind: 'denied' });
    expect(problemOf(404, { code: 404, summary: 'error retrieving job', detail: 'no such job' })).toMatchObject({ kind: 'missing', message: 'no such job' });
    expect(problemOf(409, { Error: 'error creating workspace: there is one already\n' })).toMatchObject({ kind: 'conflict', message: 'error creating workspace: there is one already' });
  });
  it('carry what is wrong with a document', () => {
    const error = problemOf(400, { code: 400, summary: 's', detail: 'd', findings: [{ pointer: '/a', code: 'port', severity: 'error', message: 'no such port' }] });
    expect(error).toMatchObject({ kind: 'invalid', message: 'no such port', findings: [{ pointer: '/a' }] });
  });
});
