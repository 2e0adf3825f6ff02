import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Rooms } from './rooms';

class Socket {
  onmessage: ((event: { data: unknown }) => void) | null = null;
  onclose: (() => void) | null = null;
  readonly sent: string[] = [];
  send(text: string) {
    this.sent.push(text);
  }
  close() {
    this.onclose?.();
  }
  say(...packets: string[]) {
    for (const data of packets) this.onmessage?.({ data });
  }
}

describe('rooms', () => {
  let sockets: Socket[];
  let rooms: Rooms;
  const newest = () => sockets.at(-1) ?? new Socket();
  beforeEach(() => {
    vi.useFakeTimers();
    sockets = [];
    rooms = new Rooms(() => {
      const socket = new Socket();
      sockets.push(socket);
      return socket as unknown as WebSocket;
    });
  });
  afterEach(() => {
    rooms.close();
    vi.useRealTimers();
  });

  it('connects for the first listener, subscribes once connected and answers pings', () => {
    expect(sockets).toHaveLength(0);
    const heard: unknown[] = [];
    rooms.listen('/doors/a b/state', (d) => heard.push(d));
    newest().say('0{"sid":"x"}', '40{"sid":"y"}', '2', '42["/doors/a b/state",{"n":1}]', '42["/doors/c/state",{}]', '42nonsense');
    expect(newest().sent).toEqual(['40', '420["subscribe",{"room":"/doors/a%20b/state"}]', '3']);
    expect(heard).toEqual([{ n: 1 }]);
    expect(rooms.snapshot().open).toBe(true);
  });

  it('replays the newest state to a second listener, but no alert', () => {
    rooms.listen('/fleets/f/state', () => undefined);
    rooms.listen('/alerts/requests', () => undefined);
    newest().say('0{}', '40{}', '42["/fleets/f/state",1]', '42["/alerts/requests",2]');
    const late = vi.fn();
    rooms.listen('/fleets/f/state', late);
    rooms.listen('/alerts/requests', late);
    expect(late.mock.calls).toEqual([[1]]);
  });

  it('leaves a room with its last listener', () => {
    const [a, b] = [rooms.listen('/rios', () => undefined), rooms.listen('/rios', () => undefined)];
    newest().say('0{}', '40{}');
    a();
    expect(newest().sent).toHaveLength(2);
    b();
    expect(newest().sent.at(-1)).toBe('421["unsubscribe",{"room":"/rios"}]');
  });

  it('connects again and asks for its rooms anew', async () => {
    rooms.listen('/rios', () => undefined);
    newest().say('0{}', '40{}');
    newest().close();
    expect(rooms.snapshot().open).toBe(false);
    await vi.advanceTimersByTimeAsync(5_000);
    expect(sockets).toHaveLength(2);
    newest().say('0{}', '40{}');
    expect(newest().sent.at(-1)).toContain('"/rios"');
  });

  it('gives a silent line up', async () => {
    rooms.listen('/rios', () => undefined);
    newest().say('0{}', '40{}');
    await vi.advanceTimersByTimeAsync(60_000);
    expect(sockets.length).toBeGreaterThan(1);
  });
});
