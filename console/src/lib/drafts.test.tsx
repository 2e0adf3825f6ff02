// @vitest-environment jsdom
import { act, cleanup, renderHook } from '@testing-library/react';
import { afterEach, describe, expect, it } from 'vitest';
import { useDraft } from './drafts';

const empty = { name: '' };

afterEach(() => {
  cleanup();
  sessionStorage.clear();
});

describe('useDraft', () => {
  it('brings back what was typed after the form was gone, until the server has it', () => {
    const first = renderHook(() => useDraft('role', empty));
    act(() => first.result.current[1]({ name: 'operator' }));
    first.unmount();

    const second = renderHook(() => useDraft('role', empty));
    expect(second.result.current[0]).toEqual({ name: 'operator' });
    act(() => second.result.current[2]());
    expect(second.result.current[0]).toEqual(empty);
    second.unmount();

    expect(renderHook(() => useDraft('role', empty)).result.current[0]).toEqual(empty);
  });
  it('starts afresh from what it cannot read', () => {
    sessionStorage.setItem('draft:role', '{');
    expect(renderHook(() => useDraft('role', empty)).result.current[0]).toEqual(empty);
  });
});
