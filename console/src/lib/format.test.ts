import { describe, expect, it } from 'vitest';
import { ago, browser, bytes, count, sentence, short, span, until } from './format';

describe('bytes', () => {
  it.each([
    [0, '0 B'],
    [1023, '1023 B'],
    [1024, '1.0 KiB'],
    [150 * 1024, '150 KiB'],
    [5.25 * 1024 ** 3, '5.3 GiB'],
    [9000 * 1024 ** 4, '9000 TiB'],
  ])('%d is %s', (n, text) => expect(bytes(n)).toBe(text));
});

describe('spans of time', () => {
  it.each([
    [-5, '0 s'],
    [59_400, '59 s'],
    [60_000, '1 min'],
    [3_599_000, '59 min'],
    [86_399_000, '23 h'],
    [86_400_000 * 40, '40 d'],
  ])('%d ms is %s', (ms, text) => expect(span(ms)).toBe(text));
  it('names the present', () => {
    expect(ago(1999)).toBe('now');
    expect(ago(4000)).toBe('4 s ago');
    expect(until(0)).toBe('now');
    expect(until(90_000)).toBe('in 1 min');
  });
});

describe('words', () => {
  it('counts', () => {
    expect(count(1, 'file')).toBe('1 file');
    expect(count(1200, 'person', 'people')).toBe('1,200 people');
  });
  it('shortens only what gets shorter', () => {
    expect(short('123456789', 8)).toBe('123456789');
    expect(short('1234567890', 8)).toBe('12345678…');
  });
  it('ends sentences once', () => {
    expect(sentence('connection refused')).toBe('connection refused.');
    expect(sentence('It is away. ')).toBe('It is away.');
    expect(sentence('')).toBe('');
  });
  it.each([
    ['Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/143.0 Safari/537.36', 'Chrome on Linux'],
    ['Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) Version/19 Safari/605', 'Safari on iOS'],
    ['Mozilla/5.0 (Windows NT 10.0) Chrome/143 Safari/537 Edg/143', 'Edge on Windows'],
    ['curl/8.9', 'curl'],
    ['', 'unknown'],
  ])('names the browser %s', (agent, name) => expect(browser(agent)).toBe(name));
});
