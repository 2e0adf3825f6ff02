import { describe, expect, it } from 'vitest';
import { EventParser } from './sse';

describe('EventParser', () => {
  it('puts events together across chunks of any size', () => {
    const text = ': hello\n\nid: 7\nevent: change\ndata: {"topic":\ndata: "results"}\n\n: \n\ndata:x\r\n\r\n';
    for (const size of [1, 2, 3, 7, 100]) {
      const parser = new EventParser();
      const events = [];
      for (let i = 0; i < text.length; i += size) events.push(...parser.feed(text.slice(i, i + size)));
      expect(events, `chunks of ${size}`).toEqual([
        { event: 'change', id: '7', data: '{"topic":\n"results"}' },
        { event: 'message', id: '7', data: 'x' },
      ]);
    }
  });
  it('drops an event that was cut off', () => {
    expect(new EventParser().feed('data: half')).toEqual([]);
  });
  it('does not take an id with a NUL', () => {
    expect(new EventParser().feed('id: a\0b\ndata: x\n\n')[0]?.id).toBe('');
  });
});
