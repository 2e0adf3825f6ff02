import { describe, expect, it } from 'vitest';
import { advice, ApiError, problemOf, unreachable } from './errors';

describe('problemOf', () => {
  it('reads the platform’s shape', () => {
    const error = problemOf(403, {
      error: {
        kind: 'denied',
        message: 'you may not',
        permission: 'audit.read on site',
        request_id: 'r1',
        fields: [{ loc: ['body', 'name'], message: 'too long' }],
      },
    });
    expect(error).toMatchObject({ status: 403, kind: 'denied', permission: 'audit.read on site', requestId: 'r1' });
    expect(error.fields).toEqual([{ path: 'name', message: 'too long' }]);
  });
  it('reads the results part’s sentence', () => {
    expect(problemOf(404, { detail: 'Object with ID x does not exist' }, 'r2')).toMatchObject({
      kind: 'missing',
      message: 'Object with ID x does not exist',
      requestId: 'r2',
    });
  });
  it('reads the results part’s list', () => {
    const error = problemOf(422, { detail: [{ type: 'missing', loc: ['query', 'project_id'], msg: 'Field required' }] });
    expect(error.message).toBe('project_id: Field required');
    expect(error.kind).toBe('invalid');
  });
  it.each([[undefined], [null], ['text'], [{}], [{ error: 'x' }], [{ detail: 7 }]])('survives the body %j', (body) => {
    expect(problemOf(502, body)).toMatchObject({ kind: 'upstream', message: 'The server answered 502.' });
  });
});

describe('advice', () => {
  it('has something to do for every kind', () => {
    const kinds = ['denied', 'unauthenticated', 'missing', 'conflict', 'invalid', 'too_large', 'exhausted', 'full'];
    for (const kind of [...kinds, 'unavailable', 'upstream', 'timeout', 'internal']) {
      expect(advice(new ApiError(500, kind, 'x')).length, kind).toBeGreaterThan(10);
    }
    expect(advice(unreachable())).toContain('tries again by itself');
    expect(advice(new Error('bug'))).toContain('Reload');
  });
  it('reads why a fleet refuses', () => {
    const refused = problemOf(400, { success: false, errors: [{ code: 5, category: 'Invalid', detail: 'no place "x"' }] });
    expect([refused.kind, refused.message]).toEqual(['refused', 'The fleet refused: no place "x"']);
    const commission = problemOf(400, { detail: { commission: { success: false, errors: [{ category: 'Unknown robot' }] } } });
    expect(commission.message).toBe('The fleet refused: Unknown robot');
  });
});
