import { backoff } from '../lib/backoff';

export type Listener = (data: unknown) => void;

export interface LineState {
  readonly open: boolean;
  /** When the server last said something; 0 before the first time. */
  readonly heardAt: number;
}

/** The server pings every 25 s: after that and its time-out the line counts as dead. */
const SILENCE = 50_000;

/**
 * The rooms of the fleet's live feed over one WebSocket: as much of socket.io as subscribing takes.
 * Server-sent events would need a connection for each room, and a browser opens six to one server.
 * It connects with the first listener, connects again by itself and then asks for every room anew;
 * each room replays its newest state.
 */
export class Rooms {
  private readonly rooms = new Map<string, { listeners: Set<Listener>; last: unknown }>();
  private readonly watchers = new Set<() => void>();
  private state: LineState = { open: false, heardAt: 0 };
  private socket: WebSocket | undefined;
  private attempt = 0;
  private nextAck = 0;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private silence: ReturnType<typeof setTimeout> | undefined;

  constructor(private readonly connect: () => WebSocket) {}

  readonly subscribe = (watcher: () => void): (() => void) => {
    this.watchers.add(watcher);
    return () => {
      this.watchers.delete(watcher);
    };
  };

  readonly snapshot = (): LineState => this.state;

  /** Calls the listener with everything that comes to the room, beginning with its newest state. */
  listen(name: string, listener: Listener): () => void {
    let room = this.rooms.get(name);
    if (room === undefined) {
      room = { listeners: new Set(), last: undefined };
      this.rooms.set(name, room);
      if (this.state.open) this.emit('subscribe', name);
    }
    room.listeners.add(listener);
    if (room.last !== undefined) listener(room.last);
    if (this.socket === undefined && this.timer === undefined) this.open();
    const joined = room;
    return () => {
      joined.listeners.delete(listener);
      if (joined.listeners.size > 0 || this.rooms.get(name) !== joined) return;
      this.rooms.delete(name);
      if (this.state.open) this.emit('unsubscribe', name);
    };
  }

  close(): void {
    clearTimeout(this.timer);
    clearTimeout(this.silence);
    this.timer = undefined;
    const socket = this.socket;
    this.socket = undefined;
    socket?.close();
    this.set({ open: false });
  }

  private open(): void {
    const socket = this.connect();
    this.socket = socket;
    socket.onmessage = (event) => {
      if (this.socket === socket && typeof event.data === 'string') this.take(event.data);
    };
    socket.onclose = () => {
      if (this.socket === socket) this.lost();
    };
    this.heard();
  }

  private lost(): void {
    clearTimeout(this.silence);
    this.socket = undefined;
    this.set({ open: false });
    if (this.rooms.size === 0) return;
    this.timer = setTimeout(() => {
      this.timer = undefined;
      this.open();
    }, backoff(this.attempt++));
  }

  private heard(): void {
    clearTimeout(this.silence);
    this.silence = setTimeout(() => {
      const socket = this.socket;
      this.lost();
      socket?.close();
    }, SILENCE);
  }

  /** One packet: the digit of Engine.IO, for messages the digit of Socket.IO, and JSON. */
  private take(packet: string): void {
    this.heard();
    if (packet.startsWith('0')) this.socket?.send('40');
    else if (packet === '2') this.socket?.send('3');
    else if (packet.startsWith('40')) {
      this.attempt = 0;
      this.set({ open: true, heardAt: Date.now() });
      for (const name of this.rooms.keys()) this.emit('subscribe', name);
    } else if (packet.startsWith('44') || packet.startsWith('41')) this.socket?.close();
    else if (packet.startsWith('42')) this.pass(packet.slice(2));
  }

  private pass(text: string): void {
    let event: unknown;
    try {
      event = JSON.parse(text);
    } catch {
      return; // Not for us: rooms send JSON.
    }
    if (!Array.isArray(event)) return;
    const [name, data] = event as [unknown, unknown];
    const room = typeof name === 'string' ? this.rooms.get(name) : undefined;
    if (room === undefined) return;
    if (isState(String(name))) room.last = data;
    // The age is told by the second; who watches it need not hear of every packet.
    const now = Date.now();
    if (now - this.state.heardAt > 1000) this.set({ heardAt: now });
    for (const listener of room.listeners) listener(data);
  }

  private emit(what: 'subscribe' | 'unsubscribe', name: string): void {
    const room = name.split('/').map(encodeURIComponent).join('/');
    this.socket?.send(`42${this.nextAck++}${JSON.stringify([what, { room }])}`);
  }

  private set(change: Partial<LineState>): void {
    this.state = { ...this.state, ...change };
    for (const watcher of this.watchers) watcher();
  }
}

/** Whether only the newest of a room matters. Alerts come one after the other. */
function isState(name: string): boolean {
  return name.endsWith('/state') || name === '/building_map';
}

/** The feed of the server that this page came from. */
export function siteRooms(): Rooms {
  return new Rooms(() => {
    const url = new URL('/fleet/socket.io/?EIO=4&transport=websocket', window.location.href);
    url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
    return new WebSocket(url);
  });
}
