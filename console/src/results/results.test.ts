import { describe, expect, it, vi } from 'vitest';
import { ApiError } from '../api/errors';
import type { upload } from '../api/upload';
import { decode, isPNG, looksLikeCSV } from './preview';
import { Sending } from './sending';
import { tagProblem } from './tag';

describe('what a preview shows', () => {
  const utf8 = (text: string) => new TextEncoder().encode(text);
  it('takes UTF-8 for text, and nothing with a NUL or a wrong byte', () => {
    expect(decode(utf8('Grüße'), true)).toBe('Grüße');
    expect(decode(new Uint8Array([0x61, 0, 0x62]), true)).toBeUndefined();
    expect(decode(new Uint8Array([0xff, 0xfe, 0x61]), true)).toBeUndefined();
  });
  it('bears a character that the cut split, but only there', () => {
    const cut = utf8('aé€').subarray(0, 5);
    expect(decode(cut, false)).toBe('aé');
    expect(decode(cut, true)).toBeUndefined();
  });
  it('believes the bytes of a picture and not its name', () => {
    expect(isPNG(new Uint8Array([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a, 0]))).toBe(true);
    expect(isPNG(utf8('<svg onload=alert(1)>'))).toBe(false);
    expect(isPNG(new Uint8Array())).toBe(false);
  });
  it('shows as a table what is called a table and looks like one', () => {
    expect(looksLikeCSV({ filename: 'a.CSV', content_type: '' }, 'a,b\n')).toBe(true);
    expect(looksLikeCSV({ filename: 'a', content_type: 'text/csv; charset=utf-8' }, 'a;b\n')).toBe(true);
    expect(looksLikeCSV({ filename: 'a.csv', content_type: 'text/csv' }, 'one\ntwo\n')).toBe(false);
    expect(looksLikeCSV({ filename: 'a.txt', content_type: 'text/plain' }, 'a,b\n')).toBe(false);
  });
});

describe('tagProblem', () => {
  it.each(['', 'a', 'ab', 'model-v2', '0', 'a'.repeat(32)])('accepts %j', (tag) => expect(tagProblem(tag)).toBeUndefined());
  it.each(['-a', 'a-', 'A', 'a b', 'ä', 'a'.repeat(33), 'a/b'])('refuses %j', (tag) => expect(tagProblem(tag)).toBeDefined());
});

describe('Sending', () => {
  const file = (name: string, size = 10) => new File(['x'.repeat(size)], name);
  it('sends one file after the other and says what became of each', async () => {
    const running: { path: string; finish: (status: number) => void; fail: (e: ApiError) => void; sent: (n: number) => void }[] = [];
    const start = ((path, _query, _file, _fields, progress) => {
      let finish: (v: { status: number; body: never }) => void = () => undefined;
      let fail: (e: ApiError) => void = () => undefined;
      const answer = new Promise<{ status: number; body: never }>((resolve, reject) => {
        finish = resolve;
        fail = reject;
      });
      running.push({
        path,
        finish: (status) => finish({ status, body: undefined as never }),
        fail: (e) => fail(e),
        sent: (n) => progress(n, 200),
      });
      return { answer, cancel: () => undefined };
    }) as typeof upload;
    const sending = new Sending(start);
    const stored = vi.fn();
    const all = sending.send(
      [file('a'), file('b'), file('c')],
      { destination: 'hub', id: 'analysis-1', tag: '' },
      stored,
    );
    const states = () => sending.snapshot().map((j) => j.state);
    expect(running.map((r) => r.path)).toEqual(['/results/final']);
    running[0]?.sent(5);
    expect(sending.snapshot()[0]).toMatchObject({ sent: 5, state: 'sending' });
    running[0]?.sent(200);
    expect(states()).toEqual(['storing', 'sending', 'sending']);
    running[0]?.finish(202);
    await vi.waitFor(() => expect(running).toHaveLength(2));
    running[1]?.fail(new ApiError(507, 'full', 'No room.'));
    await vi.waitFor(() => expect(running).toHaveLength(3));
    running[2]?.finish(204);
    await all;
    expect(states()).toEqual(['queued', 'failed', 'done']);
    expect(stored).toHaveBeenCalledTimes(3);
    sending.clear();
    expect(sending.snapshot()).toEqual([]);
  });
});
