import type { Level } from '../api/types';

/** The plane of the map: metres, x to the right and y down as a canvas has it. RMF's y points up. */

export interface Point {
  readonly x: number;
  readonly y: number;
}

export interface View {
  readonly x: number;
  readonly y: number;
  readonly w: number;
  readonly h: number;
}

export interface Pose extends Point {
  readonly yaw: number;
}

/** A floor plan, with `scale` in metres a pixel, and its size in pixels, which the map does not say. */
export interface Picture extends Pose {
  readonly image: HTMLImageElement;
  readonly scale: number;
}

/** The part of the plane that a level takes, with a margin. */
export function boundsOf(level: Level, images: readonly View[]): View {
  const xs: number[] = [];
  const ys: number[] = [];
  const put = (x: number, y: number) => {
    xs.push(x);
    ys.push(-y);
  };
  for (const v of level.nav_graphs.flatMap((g) => g.vertices)) put(v.x, v.y);
  for (const v of level.wall_graph.vertices) put(v.x, v.y);
  for (const p of level.places) put(p.x, p.y);
  for (const i of images) {
    xs.push(i.x, i.x + i.w);
    ys.push(i.y, i.y + i.h);
  }
  if (xs.length === 0) return { x: -5, y: -5, w: 10, h: 10 };
  const [left, right] = [Math.min(...xs), Math.max(...xs)];
  const [top, bottom] = [Math.min(...ys), Math.max(...ys)];
  const margin = 0.8;
  return { x: left - margin, y: top - margin, w: right - left + 2 * margin, h: bottom - top + 2 * margin };
}

/** The smallest view of this aspect that shows all of the bounds. */
export function fit(bounds: View, aspect: number): View {
  const w = Math.max(bounds.w, bounds.h * aspect);
  const h = w / aspect;
  return { x: bounds.x + (bounds.w - w) / 2, y: bounds.y + (bounds.h - h) / 2, w, h };
}

/** Zooms around the point at these fractions of the view; not closer than 3 m, not farther than 1 km. */
export function zoom(view: View, factor: number, fx = 0.5, fy = 0.5): View {
  const w = Math.min(1000, Math.max(3, view.w * factor));
  const h = (view.h * w) / view.w;
  return { x: view.x + (view.w - w) * fx, y: view.y + (view.h - h) * fy, w, h };
}

export function centred(view: View, x: number, y: number): View {
  return { ...view, x: x - view.w / 2, y: y - view.h / 2 };
}

/** From a point to the nearest of the line between two. */
export function distanceTo(p: Point, a: Point, b: Point): number {
  const [dx, dy] = [b.x - a.x, b.y - a.y];
  const length = dx * dx + dy * dy;
  const f = length === 0 ? 0 : Math.max(0, Math.min(1, ((p.x - a.x) * dx + (p.y - a.y) * dy) / length));
  return Math.hypot(p.x - a.x - f * dx, p.y - a.y - f * dy);
}

/** The difference between two headings, the short way round. */
export function turn(from: number, to: number): number {
  const d = (to - from) % (2 * Math.PI);
  return d > Math.PI ? d - 2 * Math.PI : d < -Math.PI ? d + 2 * Math.PI : d;
}

/** Farther than any robot drives between two reports: it was carried, or took the lift. */
const JUMP = 6;

/** Where a robot is between two reports: it glides from where it was drawn to where it was seen. */
export class Track {
  private from: Pose;
  private start = 0;
  private length = 0;
  private seenAt: number;

  constructor(
    private to: Pose,
    at: number,
  ) {
    this.from = to;
    this.seenAt = at;
  }

  see(pose: Pose, at: number): void {
    if (pose.x === this.to.x && pose.y === this.to.y && pose.yaw === this.to.yaw) return;
    const now = this.at(at);
    const far = Math.hypot(pose.x - now.x, pose.y - now.y) > JUMP;
    // As long as reports have been apart, so that it arrives when the next one comes.
    this.length = far ? 0 : Math.min(1500, Math.max(100, at - this.seenAt));
    this.from = now;
    this.to = pose;
    this.start = at;
    this.seenAt = at;
  }

  glides(time: number): boolean {
    return time < this.start + this.length;
  }

  at(time: number): Pose {
    const f = this.length <= 0 ? 1 : Math.min(1, (time - this.start) / this.length);
    if (f >= 1) return this.to;
    return {
      x: this.from.x + (this.to.x - this.from.x) * f,
      y: this.from.y + (this.to.y - this.from.y) * f,
      yaw: this.from.yaw + turn(this.from.yaw, this.to.yaw) * f,
    };
  }
}
