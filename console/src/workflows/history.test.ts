import { describe, expect, it } from 'vitest';
import { begin, go, redo, settle, undo } from './history';

describe('history', () => {
  it('goes back and forth', () => {
    const h = go(go(begin('a'), 'b'), 'c');
    expect(undo(h).present).toBe('b');
    expect(undo(undo(h)).present).toBe('a');
    expect(undo(undo(undo(h))).present).toBe('a');
    expect(redo(undo(h)).present).toBe('c');
    expect(redo(h)).toBe(h);
  });
  it('forgets what was undone once something else is done', () => {
    const h = go(undo(go(begin('a'), 'b')), 'c');
    expect(h.future).toEqual([]);
    expect(undo(h).present).toBe('a');
  });
  it('takes the letters of a word as one step', () => {
    const h = go(go(go(begin(''), 'f', 'name'), 'fi', 'name'), 'fit', 'name');
    expect(undo(h).present).toBe('');
    const other = go(h, 'fit!', 'description');
    expect(undo(other).present).toBe('fit');
  });
  it('does not join a change with one that was undone', () => {
    const h = go(undo(go(go(begin('a'), 'b', 'x'), 'c', 'y')), 'd', 'x');
    expect(undo(h).present).toBe('b');
  });
  it('makes no step of nothing, and none of what the server adds', () => {
    const h = go(begin('a'), 'b');
    expect(go(h, 'b')).toBe(h);
    expect(settle(h, 'b with a time')).toMatchObject({ present: 'b with a time', past: ['a'] });
  });
  it('keeps a bounded past', () => {
    let h = begin(0);
    for (let i = 1; i <= 500; i++) h = go(h, i);
    expect(h.past.length).toBe(200);
  });
});
